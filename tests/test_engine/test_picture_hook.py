"""Pictures of a test are named like those they are of."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmswinv2.engine import PictureHook


def test_equal_names_in_two_folders_keep_apart(tmp_path: Path) -> None:
    """And a picture that is no JPEG is drawn without loss."""
    runner = SimpleNamespace(
        visualizer=SimpleNamespace(dataset_meta=dict(classes=["a"], palette=None))
    )
    hook = PictureHook(str(tmp_path / "out"))
    for name in ("n/1.jpg", "s/1.jpg", "s/2.tif", "n/1.jpg", "old/s/1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((30, 40, 3), np.uint8))
        labels = PixelData(data=torch.zeros((1, 30, 40), dtype=torch.long))
        sample = SegDataSample(pred_sem_seg=labels, metainfo=dict(img_path=str(path)))
        hook.after_test_iter(runner, 0, outputs=[sample])
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["1.jpg", "2.png", "old_s_1.jpg", "s_1.jpg"]
    assert cv2.imread(str(tmp_path / "out/2.png")).shape[1] == 12 * 40
