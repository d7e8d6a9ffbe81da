"""Runs the tools inside the installed MMDetection, MMSegmentation and MMPreTrain.

Examples:
    >>> python tools/run.py                            # lists them
    >>> python tools/run.py det get_flops CONFIG       # runs one, with its arguments
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

PACKAGES = {"det": "mmdet", "seg": "mmseg", "cls": "mmpretrain"}
# What pip calls the modules that the tools need, where the names differ
DISTRIBUTIONS = {
    "cityscapesscripts": "cityscapesScripts",
    "detail": "'git+https://github.com/zhanghang1989/detail-api.git"
    "#subdirectory=PythonAPI'",
    "model_archiver": "torch-model-archiver",
    "panopticapi": "git+https://github.com/cocodataset/panopticapi.git",
    "pytorch_grad_cam": "grad-cam",
    "ts": "torchserve",
}


def find_tools(task: str) -> dict[str, Path]:
    """The scripts in the folders that a framework's wheel brings along, by name."""
    spec = importlib.util.find_spec(PACKAGES[task])
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / ".mim" / "tools"
    tools: dict[str, Path] = {}
    for pattern in ("*/*.py", "*/*/*.py"):  # of equal names, the one less deep
        for path in sorted(folder.glob(pattern)):
            tools.setdefault(path.stem, path)
    return tools


def describe_tools() -> str:
    """How to call this script, and the names of all tools by folder."""
    lines = [__doc__.strip()]
    for task, package in PACKAGES.items():
        tools = find_tools(task)
        lines.append(f"\n{task} ({package}):" + " none found" * (not tools))
        for folder in dict.fromkeys(path.parent.name for path in tools.values()):
            names = [n for n, path in tools.items() if path.parent.name == folder]
            lines.append(f"  {folder}: {', '.join(names)}")
    return "\n".join(lines)


def main() -> None:
    """Lists the tools or runs one."""
    if len(sys.argv) == 1 or sys.argv[1] in ("-h", "--help"):
        print(describe_tools())
        return
    task, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    script = find_tools(task).get(name) if task in PACKAGES else None
    if script is None:
        wanted = f"{task} {name}".strip()
        sys.exit(f"error: no tool {wanted!r}; python tools/run.py lists them")

    import torch

    import mmswinv2.config_bases  # mmswinv2:: in _base_
    import mmswinv2.models

    if task == "cls":
        import mmswinv2.pretraining  # noqa: F401  mmpretrain, so that it works
    from mmswinv2.checkpoints.files import read_file

    load_stream = torch.load

    def load(
        file: object, map_location: object = "cpu", *rest: object, **kwargs: object
    ) -> object:
        if isinstance(file, (str, Path)):
            return read_file(Path(file), str(file), map_location)
        return load_stream(file, map_location, *rest, **kwargs)  # of a pickle

    sys.argv = [str(script), *sys.argv[3:]]
    sys.path.insert(0, str(script.parent))  # as if it had been started by itself
    sys.path.extend(str(p.parent) for p in script.parents if p.name == "tools")
    if name == "analyze_logs":
        add_styles()
    try:
        with mock.patch.object(torch, "load", load):  # some load checkpoints
            runpy.run_path(str(script), run_name="__main__")
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if not module or importlib.util.find_spec(module):
            raise
        sys.exit(
            f"error: {task} {name} needs {module}, which is not installed: "
            f"pip install {DISTRIBUTIONS.get(module, module)}"
            + "; python tools/plot_run.py draws curves without it"
            * (name == "analyze_logs")
        )


def add_styles() -> None:
    """Lets matplotlib know seaborn's styles by the names that analyze_logs uses."""
    from matplotlib import style

    for name in ("dark", "darkgrid", "white", "whitegrid", "ticks"):
        style.library.setdefault(name, style.library[f"seaborn-v0_8-{name}"])


if __name__ == "__main__":
    main()
