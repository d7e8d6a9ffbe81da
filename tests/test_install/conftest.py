"""Fixtures of the installer's tests; nothing is downloaded or compiled in them."""

import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))  # as for a script that lies there

from installation.environment import Venv  # noqa: E402

Version = namedtuple("Version", "major minor micro releaselevel serial")


def write_program(path: Path, body: str) -> None:
    """Write a shell script that stands in for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


class StandInVenv(Venv):
    """An environment whose Python is a shell script."""

    def answer(self, body: str) -> None:
        """Let its Python run this shell script, whatever it is called with."""
        write_program(self.python, body)

    def add(self, name: str, version: str) -> None:
        """Let a distribution be installed."""
        info = self.site_packages / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")


@pytest.fixture
def venv(tmp_path: Path) -> StandInVenv:
    """An environment without anything in it."""
    (tmp_path / "venv").mkdir()
    return StandInVenv(tmp_path / "venv")


@pytest.fixture
def programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """Empty the PATH; the function puts a shell script on it."""
    folder = tmp_path / "programs" / "bin"
    for name in ("CXX", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("CUDA_HOME", str(folder.parent))
    return lambda name, body="": write_program(folder / name, body)


@pytest.fixture
def python_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let the running Python be of another version."""
    return lambda major, minor: monkeypatch.setattr(
        sys, "version_info", Version(major, minor, 0, "final", 0)
    )
