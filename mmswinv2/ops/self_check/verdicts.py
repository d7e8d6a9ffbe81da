"""Verdicts on kernels on disk: one small file per kernel and circumstances."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock
from mmengine.logging import print_log

from mmswinv2 import __version__

from .child import LIMIT

OPS = Path(__file__).resolve().parents[1]
Facts = dict[str, str | int]


class Question(NamedTuple):
    """A kernel, and what it is asked to work on."""

    kernel: str
    device: torch.device
    dtype: torch.dtype
    channels: int


class Kept(NamedTuple):
    """A verdict as it was read: the reason of a refusal, None if it is proven."""

    reason: str | None


def folder() -> Path:
    """Where verdicts are kept; ``MMSWINV2_HOME`` and ``XDG_CACHE_HOME`` move it.

    Raises:
        RuntimeError: If the user has no home.
    """
    home = os.environ.get("MMSWINV2_HOME")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home or Path(base) / "mmswinv2").expanduser().absolute() / "kernels"


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
    return f"{driver} (CUDA {version // 1000}.{version % 1000 // 10})"


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


def file_of(facts: Facts) -> Path:
    """Where the verdict under these circumstances lies.

    Raises:
        RuntimeError: If the user has no home.
    """
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    name = "-".join(str(facts[key]) for key in ("kernel", "dtype", "channels"))
    return folder() / f"{name}-{digest}.json"


def read(facts: Facts) -> Kept | None:
    """The verdict kept; None where there is none or its file is damaged."""
    try:
        content = json.loads(file_of(facts).read_text())
        if content["facts"] == facts and isinstance(content["reason"], str | None):
            return Kept(content["reason"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        pass
    return None


def write(facts: Facts, reason: str | None) -> None:
    """Keep a verdict, or say that this is not possible."""
    content = json.dumps({"facts": facts, "reason": reason}, indent=1)
    try:
        file = file_of(facts)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_text(content)
        part.replace(file)
    except (OSError, RuntimeError) as error:
        _say_not_kept(str(error))


@cache
def _say_not_kept(error: str) -> None:
    print_log(
        f"The verdict on the kernels is not kept ({error}); the next run checks them "
        "again",
        logger="current",
    )


@contextmanager
def alone(facts: Facts) -> Iterator[None]:
    """Wait until no other process checks the same, as far as files can be locked."""
    lock = None
    try:
        file = file_of(facts)
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.with_suffix(".lock"))
        lock.acquire(timeout=LIMIT + 60)
    except (OSError, RuntimeError):  # among them Timeout and NotImplementedError
        lock = None
    try:
        yield
    finally:
        if lock:
            lock.release()
