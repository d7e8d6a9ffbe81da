"""Checks the kernels for GPUs on this machine and prints one page for a report.

Verdicts that were kept are forgotten: every kernel is compiled and compared with the
reference anew. Without a GPU the page says so. Exits with 1 if a GPU is there and a
kernel is not to be used on it.

Examples:
    >>> python tools/check_gpu.py > report.md
    >>> python tools/check_gpu.py --device cuda:1
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # isort: skip

import torch
from mmengine.logging import MMLogger

import mmswinv2
from mmswinv2.cli import launch
from mmswinv2.ops import self_check
from mmswinv2.ops.self_check import circumstances, verdicts

PACKAGES = ("mmengine", "mmcv", "mmdet", "mmseg")
VARIABLES = ("MMSWINV2_", "TRITON_", "CUDA_", "PYTORCH_")  # their first letters
OTHER_VARIABLES = ("CC", "XDG_CACHE_HOME")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# The residual norm's kernels for up to 1024 channels prove themselves together.
CHANNELS = {
    "window_attention": (16, 32, 64),
    "window_attention_3d": (16, 32, 64),
    "residual_norm": (1024,),
}
# Kernel -> the variable that overrules 'auto', what 'auto' takes with kernels that are
# proven, with others on a GPU, and without a GPU.
AUTO = {
    "window_attention": ("MMSWINV2_ATTENTION", "triton", "sdpa", "chunked"),
    "window_attention_3d": ("MMSWINV2_ATTENTION", "triton", "sdpa", "chunked"),
    "residual_norm": ("MMSWINV2_RESIDUAL_NORM", "triton", "plain", "plain"),
}
MOST_AT_ONCE = 8  # checks side by side, each with some 0.6 GB of the GPU's memory


class Cell(NamedTuple):
    """The verdict on one kernel.

    Attributes:
        kernel (str): Its name.
        dtype (str): One of ``DTYPES``.
        channels (int): Of a head or of a map.
        reason (str | None): Why it is refused, None if it is proven.
        seconds (float): That its check took.
    """

    kernel: str
    dtype: str
    channels: int
    reason: str | None
    seconds: float


def check_all(device: torch.device) -> list[Cell]:
    """Checks every kernel anew, some of them side by side."""
    asked = [
        (kernel, dtype, channels)
        for kernel, widths in CHANNELS.items()
        for channels in widths
        for dtype in DTYPES
    ]
    count = max(1, min(MOST_AT_ONCE, (os.cpu_count() or 1) // 2))
    print(f"{len(asked)} checks, {count} at once, take minutes", file=sys.stderr)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(partial(check, device), asked))


def check(device: torch.device, asked: tuple[str, str, int]) -> Cell:
    """Checks one kernel anew."""
    kernel, dtype, channels = asked
    start = time.monotonic()
    reason = self_check.check_again(kernel, device, DTYPES[dtype], channels)
    cell = Cell(*asked, reason, time.monotonic() - start)
    print(f"{kernel} {dtype} {channels}: {reason or 'proven'}", file=sys.stderr)
    return cell


def versions() -> dict[str, str]:
    """What is installed, by name."""
    owners = importlib.metadata.packages_distributions()
    cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    found = {
        "mmswinv2": mmswinv2.__version__,
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "torch": str(torch.__version__),
        "CUDA of torch": torch.version.cuda or torch.version.hip or "none",
        "cuDNN": str(cudnn or "none"),
        "driver": circumstances.driver_version(),
        "Triton": circumstances.triton_version(),
    }
    for package in PACKAGES:
        names = owners.get(package, [])
        described = [f"{name} {importlib.metadata.version(name)}" for name in names]
        found[package] = ", ".join(sorted(set(described))) or "not installed"
    return found


def gpus() -> dict[str, str]:
    """The GPUs, by device."""
    found = {}
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        capability = f"capability {gpu.major}.{gpu.minor}"
        memory = f"{gpu.total_memory / 2**30:.1f} GiB"
        found[f"cuda:{index}"] = f"{gpu.name}, {capability}, {memory}"
    return found


def surroundings() -> dict[str, str]:
    """What Triton and the verdicts need, and the variables that steer them."""
    home = os.environ.get("TRITON_HOME") or os.path.expanduser("~")
    triton = os.environ.get("TRITON_CACHE_DIR") or Path(home, ".triton", "cache")
    try:
        kept = describe_folder(verdicts.folder())
    except RuntimeError as error:  # no home
        kept = f"nowhere ({error})"
    found = {
        "C compiler": circumstances.compiler() or "none",
        "Python's headers": "found" if circumstances.has_headers() else "none",
        "Triton's cache": describe_folder(Path(triton)),
        "verdicts": kept,
    }
    for name, value in sorted(os.environ.items()):
        if name.startswith(VARIABLES) or name in OTHER_VARIABLES:
            found[name] = value
    return found


def describe_folder(folder: Path) -> str:
    """A folder, and whether files can be written there or it can be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return f"{folder}, {'writable' if writable else 'not writable'}"


def what_auto_takes(device: torch.device, kernel: str, cells: list[Cell]) -> str:
    """What 'auto' runs on a device in place of a kernel or with it, and why."""
    variable, fused, other, without_gpu = AUTO[kernel]
    proven = [x for x in cells if x.kernel == kernel and x.reason is None]
    refused = [x for x in cells if x.kernel == kernel and x.reason]
    name = os.environ.get(variable, "auto")
    if name != "auto":
        takes = f"takes '{name}', which {variable} says"
    elif device.type != "cuda":
        takes = f"takes '{without_gpu}', since this is no GPU"
    elif not proven:
        takes = f"takes '{other}', for the reasons above"
    elif refused:
        takes = f"takes '{fused}' for {names(proven)}, elsewhere '{other}'"
    else:
        takes = f"takes '{fused}', whose kernels have proven themselves here"
    return f"- {kernel}: 'auto' {takes}."


def names(cells: Iterable[Cell]) -> str:
    """Dtypes and channels of cells."""
    return ", ".join(f"{cell.dtype} with {cell.channels} channels" for cell in cells)


def print_page(device: torch.device, reason: str | None, cells: list[Cell]) -> None:
    """Prints the page in Markdown, without the user's home in it."""
    lines = [f"# mmswinv2 {mmswinv2.__version__} on {device}", ""]
    lines += rows("part", "version", versions())
    lines += rows("GPU", "what it is", gpus() or {"none": "torch sees none"})
    lines += rows("around it", "found", surroundings())
    if reason:
        lines += [f"No kernel of this package runs on {device}: {reason}.", ""]
    if cells:
        lines += [f"| kernel | channels | {' | '.join(DTYPES)} |"]
        lines += ["| --- | --- |" + " --- |" * len(DTYPES)]
        lines += [
            f"| {kernel} | {channels} | {verdicts_of(cells, kernel, channels)} |"
            for kernel, widths in CHANNELS.items()
            for channels in widths
        ]
        lines += ["", "Seconds of a check, with others beside it, in brackets.", ""]
    refused = [cell for cell in cells if cell.reason]
    for cell in refused:
        lines += [f"- {cell.kernel}, {names([cell])}: {cell.reason}."]
    lines += [""] * bool(refused)
    lines += [what_auto_takes(device, kernel, cells) for kernel in CHANNELS]
    home = os.path.expanduser("~")
    page = "\n".join(lines)
    print(page.replace(home, "~") if home != "/" else page)


def verdicts_of(cells: Iterable[Cell], kernel: str, channels: int) -> str:
    """Verdicts of a row of the table."""
    row = [cell for cell in cells if cell[0] == kernel and cell[2] == channels]
    return " | ".join(
        f"{'refused' if cell.reason else 'proven'} ({cell.seconds:.0f} s)"
        for cell in row
    )


def rows(first: str, second: str, facts: dict[str, str]) -> list[str]:
    """A table of two columns."""
    table = [f"| {name} | {fact} |" for name, fact in facts.items()]
    return [f"| {first} | {second} |", "| --- | --- |", *table, ""]


def find_device(name: str | None) -> torch.device:
    """The device to check: as named, or the first GPU, or the CPU.

    Raises:
        ValueError: If there is no such device.
    """
    count = torch.cuda.device_count()
    if name is None:
        return torch.device("cuda:0" if count else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type == "cuda" and (device.index or 0) < count:
        return torch.device("cuda", device.index or 0)
    if device.type == "cpu":
        return device
    known = ", ".join(["cpu", *(f"cuda:{index}" for index in range(count))])
    raise ValueError(f"--device {name}: expected one of {known}")


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help="such as cuda:0, the default where it is")
    return parser.parse_args()


def main() -> int:
    """Checks and prints; returns the exit code."""
    with launch.Preparation():
        device = find_device(parse_args().device)
        MMLogger.get_current_instance().setLevel("WARNING")  # the page says it all
        reason = self_check.unsupported(device)
        cells = [] if reason else check_all(device)
        print_page(device, reason, cells)
    good = reason is None and all(cell.reason is None for cell in cells)
    return 0 if good or device.type != "cuda" else 1


if __name__ == "__main__":
    sys.exit(main())
