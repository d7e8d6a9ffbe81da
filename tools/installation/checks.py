"""What an installation needs of the machine, checked before anything long starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

OLDEST_PYTHON = (3, 10)


class InstallError(Exception):
    """A failure, told in a sentence that says what to do.

    Args:
        message (str): The sentence.
        output (str): The end of a command's output, to be shown before it.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def python_version() -> str:
    """Return the running Python's version without its patch level."""
    return "{}.{}".format(*sys.version_info)


def check_python(newest: tuple[int, int]) -> None:
    """Raise unless this Python is supported and can make environments.

    Args:
        newest (tuple[int, int]): The newest Python that is supported.
    """
    if not OLDEST_PYTHON <= sys.version_info[:2] <= newest:
        names = [f"python3.{n}" for n in range(newest[1], OLDEST_PYTHON[1] - 1, -1)]
        other = next(filter(shutil.which, names), None)
        raise InstallError(
            f"this is Python {python_version()}, and this stack runs on Python 3.10 to "
            f"3.{newest[1]}: "
            + (f"run it with PYTHON={other}." if other else "install one of these.")
        )
    if not (find_spec("venv") and find_spec("ensurepip")):
        raise InstallError(
            "this Python cannot make virtual environments: run "
            "'sudo apt-get install python3-venv python3-dev'."
        )


def check_compiler() -> None:
    """Raise unless C++ extensions of Python can be compiled."""
    if not shutil.which(os.environ.get("CXX", "c++").split()[0]):
        raise InstallError(
            "no C++ compiler was found, and mmcv's operators must be compiled: run "
            "'sudo apt-get install build-essential'."
        )
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise InstallError(
            "Python's headers were not found, and mmcv's operators need them: run "
            "'sudo apt-get install python3-dev'."
        )


def check_nvcc(cuda: str) -> None:
    """Raise unless CUDA code can be compiled for a torch.

    Args:
        cuda (str): The CUDA version of the torch, such as '13.0'.
    """
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    names = [f"{home}/bin/nvcc"] if home else ["nvcc", "/usr/local/cuda/bin/nvcc"]
    nvcc = next(filter(None, map(shutil.which, names)), None)
    found = "no nvcc was found"
    if nvcc:
        text = subprocess.run([nvcc, "--version"], capture_output=True, text=True)
        release = re.search(r"release (\S+?),", text.stdout)
        found = f"{nvcc} is of CUDA {release[1] if release else 'unknown'}"
        if release and release[1].split(".")[0] == cuda.split(".")[0]:
            return
    raise InstallError(
        f"torch was built for CUDA {cuda} and {found}, so mmcv's GPU operators cannot "
        f"be compiled: install the CUDA toolkit {cuda} and set CUDA_HOME to it, or "
        "take a CPU-only mmcv (no detector will run on the GPU) by hiding the GPU "
        "with CUDA_VISIBLE_DEVICES= (empty)."
    )


def check_disk(folder: Path, needed_gb: int) -> None:
    """Raise unless the disk of a folder has room for the installation."""
    there = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    if free_gb < needed_gb:
        raise InstallError(
            f"{free_gb:.1f} GB are free on the disk of {folder}, and the installation "
            f"needs {needed_gb} GB: free some space, or name a folder on another disk "
            "with VENV=... (pip's cache and XDG_CACHE_HOME need room too)."
        )


def has_gpu() -> bool:
    """Return whether an NVIDIA driver sees a GPU."""
    if not shutil.which("nvidia-smi"):
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0
