"""Two packages that pip leaves in a shape that does not run everywhere."""

from __future__ import annotations

from .checks import InstallError
from .environment import Venv, say

DESKTOP_OPENCV = ("opencv-python", "opencv-contrib-python")

# torchvision's models need none of its operators, but its import wants to know them.
DECLARE_OPERATORS = """

# Added by mmswinv2's installer: the operators of this build need CUDA.
if not _has_ops():
    _declared = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou) -> Tensor")
"""


def use_headless_opencv(venv: Venv) -> None:
    """Replace the OpenCV that mmcv and others require by the one without libGL."""
    version = next(filter(None, map(venv.version, DESKTOP_OPENCV)), None)
    if version:
        venv.pip("uninstall", "--yes", *DESKTOP_OPENCV)
        options = ["--force-reinstall", "--no-deps"]
        venv.pip("install", *options, f"opencv-python-headless=={version}")


def mend_torchvision(venv: Venv) -> None:
    """Let a CUDA build of torchvision be imported beside a CPU build of torch.

    pip pairs them where only one of its indexes has CPU builds. Every import of mmseg
    would then fail, through timm; with the operators declared, only calls of them do.
    """
    if not venv.version("torchvision"):
        return
    try:
        venv.run("-c", "import torchvision")
    except InstallError as error:
        if "operator torchvision::" not in error.output:
            raise
        say("      torchvision is built for CUDA, torch is not: declaring operators")
        with (venv.site_packages / "torchvision" / "extension.py").open("a") as file:
            file.write(DECLARE_OPERATORS)
