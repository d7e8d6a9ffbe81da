"""Data and runs of the leaderboard tools."""

from pathlib import Path

import pytest
import torch
from tiny import DET, SEG, Tool, load_script, load_tiny, save_weights


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini data of four pictures: ``coco/`` and ``ade/ADEChallengeData2016/``."""
    root = tmp_path_factory.mktemp("data") / "mini"
    script = load_script("tools/dataset_converters/make_mini.py")
    script.make_mini(root, train=2, val=2, size=64)
    return root


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Quickly made checkpoints of the mini detector and segmentor."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {
        name: save_weights(load_tiny(name), folder / f"{name}.pth")
        for name in (DET, SEG)
    }
    checkpoint = torch.load(paths[DET], weights_only=True)
    bias = checkpoint["state_dict"]["roi_head.bbox_head.fc_cls.bias"]
    bias[0] = 5.0  # sure of one class, so that something is detected
    torch.save(checkpoint, paths[DET])
    return paths


@pytest.fixture
def tool(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Tool:
    """Runs tools from a folder that is not the repository."""
    monkeypatch.chdir(tmp_path)
    return Tool(monkeypatch, capfd)
