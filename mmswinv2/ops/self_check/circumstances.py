"""All that a verdict on a kernel depends on."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import sysconfig
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from mmswinv2 import __version__

OPS = Path(__file__).resolve().parents[1]
Facts = dict[str, str | int]


class Question(NamedTuple):
    """A kernel, and what it is asked to work on."""

    kernel: str
    device: torch.device
    dtype: torch.dtype
    channels: int


def circumstances(question: Question) -> Facts:
    """All that a verdict depends on."""
    kernel, device, dtype, channels = question
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        name = f"{gpu.name} ({gpu.major}.{gpu.minor})"
    else:
        name = device.type
    return {
        "kernel": kernel,
        "dtype": str(dtype).removeprefix("torch."),
        "channels": channels,
        "gpu": name,
        "machine": platform.machine(),
        "driver": driver_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda),
        "triton": triton_version(),
        "interpreted": os.environ.get("TRITON_INTERPRET", "0"),
        # Triton compiles its launchers: who installs a compiler is checked again.
        "compiler": str(compiler()),
        "headers": int(has_headers()),
        "mmswinv2": __version__,
        "sources": _sources(),
    }


def driver_version() -> str:
    """Of the GPU driver and the CUDA that it offers, as far as they can be told."""
    try:
        driver = Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:  # no such driver, or one outside of this virtual machine
        driver = "unknown"
    # Private and, in builds of torch without CUDA, missing.
    version = getattr(torch._C, "_cuda_getDriverVersion", int)()
    cuda = f"{version // 1000}.{version % 1000 // 10}" if version else "unknown"
    return f"{driver}, for CUDA {cuda}"


def triton_version() -> str:
    """'none' where it is not installed; the nightly builds have another name."""
    for name in ("triton", "pytorch-triton", "triton-windows"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "none"


def compiler() -> str | None:
    """The C compiler that Triton takes."""
    return os.environ.get("CC") or next(
        filter(None, map(shutil.which, ("gcc", "clang", "cc"))), None
    )


def has_headers() -> bool:
    """Whether Python's headers are there, which Triton's launchers include."""
    return Path(sysconfig.get_path("include"), "Python.h").exists()


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for file in sorted(OPS.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
