"""An installation that lacks something is told in one sentence with the cure."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import DET, ROOT, Tool

from mmswinv2.cli import missing
from mmswinv2.places import COMMANDS

SCRIPTS = [file for file in COMMANDS.values() if file.endswith(".py")]


@pytest.mark.parametrize("script", [*SCRIPTS, "tools/quickstart/__main__.py"])
def test_no_package_at_all(script: str, tmp_path: Path) -> None:
    """A Python without torch, such as that of the system."""
    command = [sys.executable, "-I", "-S", ROOT / script, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if script == "demo/onnx_demo.py":  # which needs nothing of ours
        assert done.returncode == 1
    elif script == "tools/run.py":
        assert done.returncode == 0, done.stderr  # lists tools; there are none
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("error: torch is not installed for ")
        assert "make install" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["mmengine", "mmcv", "mmdet", "mmseg"])
@pytest.mark.parametrize("installed", [False, True])
def test_no_stack(name: str, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of its packages that is missing, and what installs it."""
    monkeypatch.setattr(missing, "is_installed", lambda asked: asked != name)
    monkeypatch.setattr(missing, "INSTALLED", installed)
    error = ImportError("Failed to import what a config names")
    error.__context__ = ModuleNotFoundError("No module", name=f"{name}.ops")
    sentence = missing.cure(error)
    assert sentence.startswith(f"{name} is not installed for {sys.executable}: ")
    stack = "openmmlab" if missing._has_distribution("mmengine") else "onedl"
    package = f'"mmswinv2[{stack}]"' if installed else f'-e ".[{stack}]"'
    assert sentence.endswith(f"{missing.BUILD} {package}")
    assert ("make install" in sentence) != installed


def test_no_host_of_a_config(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registries without MMDetection would only seem to be empty."""
    monkeypatch.setitem(sys.modules, "mmdet", None)
    message = tool.fails("tools/train.py", DET)
    assert message.startswith("mmdet is not installed")


def test_no_operators() -> None:
    """mmcv-lite, or an mmcv for another torch, behind any other error."""
    error = RuntimeError("cannot be built")
    error.__cause__ = ImportError("undefined symbol: _ZN3c10", name="mmcv._ext")
    sentence = missing.cure(error)
    assert "mmcv has no operators that work here (undefined symbol" in sentence
    assert "--force-reinstall" in sentence


def test_other_errors_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """A module of the user's own, and an error that is none of imports."""
    assert missing.cure(ValueError("wrong")) is None
    own = ModuleNotFoundError("No module named 'mine'", name="mine")
    assert missing.cure(own) is None
    missing.tell(ModuleNotFoundError, own, None)
    assert capsys.readouterr().err == "ModuleNotFoundError: No module named 'mine'\n"
