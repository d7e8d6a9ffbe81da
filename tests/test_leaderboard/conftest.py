"""Weights for the leaderboard tools."""

import pytest
import torch
from tiny import DET, SEG, load_tiny, save_weights


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
