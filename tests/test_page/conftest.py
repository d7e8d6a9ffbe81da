"""Runs of a detector and a segmentor, as training leaves them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import DET, SEG, load_tiny, save_weights


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of work dirs, ``det`` and ``seg``, with random weights."""
    root = tmp_path_factory.mktemp("work_dirs")
    for name, config in (("det", DET), ("seg", SEG)):
        (root / name).mkdir()
        cfg = load_tiny(config)
        cfg.dump(root / name / f"{config}.py")
        save_weights(cfg, root / name / "iter_1.pth")
    return root


@pytest.fixture(scope="package")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of 64 x 48 px."""
    path = tmp_path_factory.mktemp("photos") / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path
