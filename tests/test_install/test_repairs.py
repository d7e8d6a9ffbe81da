"""Packages that pip leaves in the wrong shape are mended, sound ones left alone."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from installation import repairs
from installation.checks import InstallError

from .conftest import StandInVenv


@pytest.mark.parametrize("name", ["opencv-python", "opencv-contrib-python"])
def test_desktop_opencv_is_replaced_by_the_same_headless_version(
    venv: StandInVenv, name: str
) -> None:
    venv.add(name.replace("-", "_"), "4.12.0.88")
    venv.answer('echo "$@"')
    repairs.use_headless_opencv(venv)
    uninstall, reinstall = venv.log.read_text().splitlines()
    assert uninstall.endswith("uninstall --yes opencv-python opencv-contrib-python")
    assert reinstall.endswith("opencv-python-headless==4.12.0.88")


def test_headless_opencv_is_left_alone(venv: StandInVenv) -> None:
    venv.add("opencv_python_headless", "4.12.0.88")
    venv.answer('echo "$@"')
    repairs.use_headless_opencv(venv)
    assert not venv.log.exists()


@pytest.fixture
def torchvision(venv: StandInVenv) -> Path:
    """An environment with a torchvision, and its file that is to be mended."""
    venv.add("torchvision", "0.28.0")
    file = venv.site_packages / "torchvision" / "extension.py"
    file.parent.mkdir()
    file.write_text("_has_ops = bool\nimport torch\n")
    return file


def test_torchvision_that_can_be_imported_is_left_alone(
    venv: StandInVenv, torchvision: Path
) -> None:
    before = torchvision.read_text()
    venv.answer("exit 0")
    repairs.mend_torchvision(venv)
    assert torchvision.read_text() == before


def test_torchvision_of_another_build_declares_its_operators(
    venv: StandInVenv, torchvision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "RuntimeError: operator torchvision::nms does not exist"
    venv.answer(f"echo '{said}'; exit 1")
    repairs.mend_torchvision(venv)
    defined = []
    library = SimpleNamespace(Library=lambda *_: SimpleNamespace(define=defined.append))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(library=library))
    exec(torchvision.read_text(), {})
    assert [schema.partition("(")[0] for schema in defined] == ["nms", "qnms"]


def test_torchvision_that_fails_otherwise_is_reported(
    venv: StandInVenv, torchvision: Path
) -> None:
    venv.answer("echo 'SyntaxError'; exit 1")
    with pytest.raises(InstallError) as error:
        repairs.mend_torchvision(venv)
    assert error.value.output == "SyntaxError"
