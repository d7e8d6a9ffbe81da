"""Data and runs of the tools."""

from pathlib import Path

import pytest
from tiny import Tool, load_script


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini data of four pictures: ``coco/`` and ``ade/ADEChallengeData2016/``."""
    root = tmp_path_factory.mktemp("data") / "mini"
    script = load_script("tools/dataset_converters/make_mini.py")
    script.make_mini(root, train=2, val=2, size=64)
    return root


@pytest.fixture
def tool(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Tool:
    """Runs tools from a folder that is not the repository."""
    monkeypatch.chdir(tmp_path)
    return Tool(monkeypatch, capfd)
