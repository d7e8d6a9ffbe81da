"""What an installation lacks, in one sentence with its cure in place of a traceback.

Each command imports this before all that may be missing.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from types import TracebackType

from mmswinv2.mmpretrain_import import is_installed
from mmswinv2.places import INSTALLED

BASIS = ("torch", "mmengine", "mmcv")  # each is nothing without those before it
HOSTS = ("mmdet", "mmseg")
OPERATORS = "mmcv._ext"
BUILD = "pip install --no-build-isolation --no-cache-dir"  # isolated, it sees no torch
TOOLS = 'pip install torch "setuptools<81" wheel ninja numpy packaging psutil'


def cure(error: BaseException | None) -> str | None:
    """One sentence on the package behind an error, or None where none is missing."""
    while error and not isinstance(error, ImportError):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    if error.name == OPERATORS:
        mmcv = "mmcv==2.1.0" if _has_distribution("mmengine") else "onedl-mmcv"
        return (
            f"mmcv has no operators that work here ({error}): it is mmcv-lite, or was "
            "built without or for another PyTorch; build it anew by "
            f"{BUILD} --force-reinstall --no-deps {mmcv}"
        )
    lacking = next((name for name in BASIS if not is_installed(name)), None)
    lacking = lacking or (error.name or "").partition(".")[0]
    if lacking not in (*BASIS, *HOSTS) or is_installed(lacking):
        return None
    stack = "openmmlab" if _has_distribution("mmengine") else "onedl"
    package = f'"mmswinv2[{stack}]"' if INSTALLED else f'-e ".[{stack}]"'
    steps = f"{BUILD} {package}"
    if lacking in BASIS:
        steps = f"{TOOLS}, and then {steps}"
    if not INSTALLED:
        steps = f"run make install and take .venv/bin/python, or for this one {steps}"
    return f"{lacking} is not installed for {sys.executable}: {steps}"


def _has_distribution(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def tell(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ends a command as Python would, but for what is not installed."""
    sentence = cure(error) if isinstance(error, ImportError) else None
    if sentence and os.environ.get("MMSWINV2_TRACEBACK") != "1":
        print(f"error: {sentence}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = tell
