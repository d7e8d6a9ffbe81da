"""What is asked of the installer, and when it has nothing to do."""

import importlib.metadata
import re
import shutil
import sys
from pathlib import Path

import install
import pytest
from installation.checks import InstallError

from .conftest import ROOT, StandInVenv


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("", ""),
        ("2.11.0", "2.11.0"),
        (" torch==2.11.0 ", "2.11.0"),
        ("2.11.0+cpu", "2.11.0+cpu"),
        ("2.14.0.dev20261101", "2.14.0.dev20261101"),
    ],
)
def test_torch_is_a_version_with_or_without_its_name(text: str, version: str) -> None:
    assert install.parse_torch(text) == version


@pytest.mark.parametrize("text", ["newest", "torch>=2", "2.13", "2.1.0 --pre"])
def test_torch_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InstallError, match=r"TORCH=.*expected a version"):
        install.parse_torch(text)


@pytest.mark.parametrize(
    ("name", "count"), [*dict.fromkeys(install.VENVS, 4).items(), ("pretrain", 1)]
)
def test_stack_is_installed_at_exactly_the_versions_of_its_file(
    name: str, count: int
) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    pins = install.read_pins(name)
    assert len(pins) == count
    for pin in pins:
        name, version = pin.split("==")
        assert re.search(rf"^{name}[>=]={re.escape(version)}\b", text, re.MULTILINE)


def test_package_requires_no_stack_by_name() -> None:
    required = importlib.metadata.requires("mmswinv2")
    always = [line for line in required if "extra ==" not in line]
    assert any(line.startswith("torch") for line in always)
    assert not [line for line in always if re.match(r"(onedl-)?mm", line)]


def complete(venv: StandInVenv, stack: str = "onedl") -> None:
    venv.add("torch", "2.13.0+cpu")
    venv.write_stamp(fingerprint=install.fingerprint(stack), torch="2.13.0+cpu")


@pytest.mark.parametrize("torch", ["", "2.13.0", "2.13.0+cpu"])
def test_complete_environment_is_fresh(venv: StandInVenv, torch: str) -> None:
    complete(venv)
    assert install.is_fresh(venv, "onedl", torch)


@pytest.mark.parametrize("torch", ["2.11.0", "2.13.0+cu130"])
def test_another_torch_is_not_fresh(venv: StandInVenv, torch: str) -> None:
    complete(venv)
    assert not install.is_fresh(venv, "onedl", torch)


def test_another_stack_is_not_fresh(venv: StandInVenv) -> None:
    complete(venv)
    assert not install.is_fresh(venv, "openmmlab", "")


@pytest.mark.parametrize("text", [None, "", '{"fingerprint": "ab', "{}"])
def test_without_a_whole_stamp_nothing_is_fresh(
    venv: StandInVenv, text: str | None
) -> None:
    venv.add("torch", "2.13.0+cpu")
    if text is not None:
        venv.stamp.write_text(text)
    assert not install.is_fresh(venv, "onedl", "")


def test_torch_replaced_by_hand_is_not_fresh(venv: StandInVenv) -> None:
    complete(venv)
    shutil.rmtree(venv.site_packages)
    venv.add("torch", "2.12.0+cpu")
    assert not install.is_fresh(venv, "onedl", "")


@pytest.mark.parametrize(
    "file",
    [
        "requirements/onedl.txt",
        "requirements/pretrain.txt",
        "requirements/video.txt",
        "requirements/transformers.txt",
        "setup.py",
        "tools/installation/repairs.py",
    ],
)
def test_change_of_what_is_installed_is_not_fresh(
    venv: StandInVenv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    for folder in ("requirements", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    complete(venv)
    assert install.is_fresh(venv, "onedl", "")
    with (tmp_path / file).open("a") as changed:
        changed.write("# another\n")
    assert not install.is_fresh(venv, "onedl", "")


def test_fresh_environment_returns_before_any_work(
    venv: StandInVenv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    complete(venv)
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("installed again"))
    monkeypatch.setattr(sys, "argv", ["install.py", "--venv", str(venv.path)])
    assert install.main() == 0
    assert "up to date" in capsys.readouterr().out


def test_environment_of_the_other_stack_is_refused(venv: StandInVenv) -> None:
    venv.add("mmcv", "2.1.0")
    with pytest.raises(InstallError, match=r"holds the stack 'openmmlab'.*VENV="):
        install.check_machine(venv, "onedl")


def test_unknown_stack_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["install.py", "--stack", "mmcv"])
    assert install.main() == 1
    message = capsys.readouterr().err
    assert "STACK=mmcv: expected one of onedl, openmmlab" in message
    assert message.count("\n") == 1
