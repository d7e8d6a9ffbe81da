"""Compares exported backbones in ONNX Runtime with torch: time, memory and size.

All have the same random weights. Their files are written first, outputs are compared
with those of the models they are of, then in every round each runs once, in changing
order. Memory is the peak of a process of its own that runs one pass.

Examples:
    >>> python benchmarks/export/run.py --threads 1 --clock cpu
    >>> python benchmarks/export/run.py --threads 2 --sizes 512 --windows 8 16
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from files import WRITERS, eager, eager_timm, session

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
FOLDER = Path(__file__).parent / "results"
TITLES = {
    "eager": "torch, eager",
    "fixed": "ours, one size",
    "dynamic": "ours, any size",
    "int8": "ours, 8 bits",
    "timm": "timm, one size",
}
# Of a process that does nothing but one pass: import no torch for a file.
ONE_PASS = """
import re, sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
opened = onnxruntime.InferenceSession(sys.argv[1], options)
image = numpy.zeros((1, 3, int(sys.argv[2]), int(sys.argv[2])), numpy.float32)
opened.run(None, {opened.get_inputs()[0].name: image})
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


def image_of(size: int) -> np.ndarray:
    """A picture of noise, ``(1, 3, size, size)``."""
    noise = np.random.default_rng(0).standard_normal((1, 3, size, size))
    return noise.astype(np.float32)


def measure(size: int, window: int, args: argparse.Namespace, folder: Path) -> dict:
    """What is measured of every contender."""
    passes = {"eager": eager(args.arch, size, window)}
    found: dict[str, dict] = {"eager": {}}
    image = image_of(size)
    whole = {
        "ours": passes["eager"](image),
        "timm": eager_timm(args.arch, size, window)(image),
    }
    for name, write in WRITERS.items():
        path = folder / f"{args.arch}-{name}-{size}-w{window}.onnx"
        if name == "dynamic":
            path = folder / f"{args.arch}-{name}-w{window}.onnx"
        if not path.exists():
            write(args.arch, size, window, path)
        passes[name] = session(path, args.threads)
        pairs = zip(passes[name](image), whole["timm" if name == "timm" else "ours"])
        found[name] = {
            "bytes": sum(file.stat().st_size for file in folder.glob(f"{path.name}*")),
            "difference": max(_difference(a, b) for a, b in pairs),
            "memory": one_pass(path, size, args.threads),
        }
    found["eager"]["memory"] = one_eager_pass(size, window, args)
    times: dict[str, list[float]] = {name: [] for name in passes}
    now = CLOCKS[args.clock]
    for i in range(args.rounds):
        for name in list(passes) if i % 2 else reversed(passes):
            start = now()
            passes[name](image)
            times[name].append(now() - start)
    for name, own in times.items():
        found[name]["seconds"] = min(own)
        found[name]["ratio"] = statistics.median(
            a / b for a, b in zip(own, times["eager"])
        )
    return found


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def one_pass(path: Path, size: int, threads: int) -> int:
    """Peak memory in bytes of a process that runs a file once."""
    command = [sys.executable, "-c", ONE_PASS, path, size, threads]
    return _peak(command)


def one_eager_pass(size: int, window: int, args: argparse.Namespace) -> int:
    """Likewise of torch."""
    options = ["--arch", args.arch, "--threads", args.threads]
    command = [sys.executable, __file__, "--pass", size, window, *options]
    return _peak(command)


def _peak(command: list) -> int:
    done = subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1]) * 1024


def processor() -> str:
    """Name, family and model of the processor, and what torch uses of it."""
    name = platform.processor() or platform.machine()
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    keys = ("model name", "cpu family", "model")  # the name alone hides much
    lines = [re.search(rf"^{key}\s*: (.*)", text, re.MULTILINE) for key in keys]
    if all(lines):
        name = "{}, family {}, model {}".format(*(line[1] for line in lines))
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def table(record: dict) -> list[str]:
    """Rows of all cases, in Markdown."""
    lines = [
        "| px | window | | time | over torch's | peak memory | file over weights | "
        "difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in record["cases"]:
        for name, of in case["found"].items():
            share = of["bytes"] / record["weights"] - 1 if "bytes" in of else None
            difference = of.get("difference")
            cells = [
                f"{case['size']}",
                f"{case['window']}",
                TITLES[name],
                f"{of['seconds']:.2f} s",
                f"{of['ratio']:.2f}",
                f"{of['memory'] / 2**20:.0f} MiB",
                "" if share is None else f"{share:+.1%}",
                "" if difference is None else f"{difference:.0e}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="tiny")
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 1024], help="px")
    parser.add_argument("--windows", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--clock",
        default="wall",
        choices=CLOCKS,
        help="cpu: CPU time of all threads, for a machine that does other work too",
    )
    parser.add_argument("--files", type=Path, help="folder to keep the files in")
    parser.add_argument("--pass", dest="one", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one:
        eager(args.arch, *args.one)(np.zeros((1, 3, *args.one[:1] * 2), np.float32))
        status = Path("/proc/self/status").read_text()
        print(re.search(r"VmHWM:\s*(\d+)", status)[1])
        return
    from contenders import ours  # a path that files.py adds

    model = ours(args.arch, (32, 32), 8)
    record = {
        "arch": args.arch,
        "processor": processor(),
        "threads": args.threads,
        "clock": args.clock,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "weights": sum(4 * p.numel() for p in model.parameters()),
        "cases": [],
    }
    out = FOLDER / f"{args.arch}-{args.threads}-thread{'s' * (args.threads > 1)}"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.files or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for size in args.sizes:
            for window in args.windows:
                found = measure(size, window, args, folder)
                record["cases"].append({"size": size, "window": window, "found": found})
                (out / "results.json").write_text(json.dumps(record, indent=1) + "\n")
                lines = table(record)
                (out / "table.md").write_text("\n".join(lines) + "\n")
    print(f"{args.arch}, {record['processor']}, {args.threads} thread(s)")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
