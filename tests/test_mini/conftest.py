"""Fixtures of the mini data's tests."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
sys.path[:0] = [str(TOOLS / "quickstart"), str(TOOLS / "dataset_converters")]


@pytest.fixture(scope="session")
def make_mini() -> Callable[..., subprocess.CompletedProcess]:
    """Run make_mini.py with arguments."""

    def run(*arguments: object) -> subprocess.CompletedProcess:
        script = TOOLS / "dataset_converters" / "make_mini.py"
        command = [sys.executable, str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory, make_mini: Callable) -> Path:
    """A small set of mini data."""
    out = tmp_path_factory.mktemp("data") / "mini"
    done = make_mini("--out", out, "--train", 12, "--val", 8)
    assert done.returncode == 0, done.stderr
    return out
