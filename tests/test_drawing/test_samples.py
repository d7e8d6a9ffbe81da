"""Truth and prediction beside each other, readable with many objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmswinv2.drawing import draw_sample, samples

PHOTO = np.full((480, 480, 3), 128, np.uint8)
META = dict(classes=["cell", "dust"], palette=[(255, 0, 0), (0, 0, 255)])


def objects(count: int, kind: str) -> InstanceData:
    """So many squares of 20 px on a grid, of the first class."""
    corner = torch.tensor([[i % 20, i // 20] for i in range(count)]) * 24.0
    boxes = torch.cat([corner, corner + 20], dim=1)
    found = InstanceData(bboxes=boxes, labels=torch.zeros(count, dtype=torch.long))
    masks = np.zeros((count, 480, 480), bool)
    for mask, (x, y) in zip(masks, corner.int().tolist()):
        mask[y : y + 20, x : x + 20] = True
    if kind == "tensor":
        found.masks = torch.from_numpy(masks)
    elif kind == "bitmap":
        found.masks = BitmapMasks(masks.astype(np.uint8), 480, 480)
    return found


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Title and legend of each panel that is drawn."""
    said: list[tuple] = []
    original = samples.make_panel

    def record(pixels: np.ndarray, title: str, legend: list, size: int):
        said.append((title, [name for name, _ in legend]))
        return original(pixels, title, legend, size)

    monkeypatch.setattr(samples, "make_panel", record)
    return said


@pytest.mark.parametrize("kind", ["tensor", "bitmap", "boxes"])
def test_many_objects_are_outlined_thinly(kind: str, titles: list[tuple]) -> None:
    """300 of them in their colour, none named; those below the score are left out."""
    truth, found = objects(300, kind), objects(200, kind)
    found.scores = torch.linspace(1, 0.1, 200)
    sample = DetDataSample(gt_instances=truth, pred_instances=found)
    drawn = draw_sample(PHOTO, sample, META, score_thr=0.55)
    assert drawn.shape[1] == 2 * 480 + 4
    assert titles == [
        ("truth: 300 objects", ["300 cell"]),
        ("prediction: 100 objects, score > 0.55", ["100 cell"]),
    ]
    top = np.argmax((drawn[:, 0] == [255, 0, 0]).all(-1))  # of the picture
    picture = drawn[top : top + 480, :480]
    red = (picture == [255, 0, 0]).all(-1)
    assert 300 * 70 < red.sum() < 300 * 90  # outlines of 1 px around 20 px
    middle = picture[10, 10]
    assert (middle == 128).all() == (kind == "boxes")  # masks are filled


def test_few_objects_are_named(titles: list[tuple]) -> None:
    """With their scores, in a box of their colour."""
    found = objects(1, "boxes")
    found.bboxes[:, 2:] = 200
    unnamed = draw_sample(PHOTO, DetDataSample(pred_instances=found[:0]), META)
    named = draw_sample(PHOTO, DetDataSample(pred_instances=found), META)
    assert titles[-1] == ("prediction: 1 object", ["1 cell"])
    letters = (named[20:40, 2:60] == [255, 0, 0]).all(-1).sum()
    assert letters > 100
    assert (unnamed[20:40, 2:60] == 128).all()


def test_classes_of_a_label_map_are_in_the_legend(titles: list[tuple]) -> None:
    """The largest first; pixels without a label stay as they are."""
    labels = torch.ones((1, 480, 480), dtype=torch.uint8)
    labels[:, :48] = 0
    labels[:, 470:] = 255
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=labels), pred_sem_seg=PixelData(data=1 - labels // 2)
    )
    drawn = draw_sample(PHOTO, sample, META)
    assert titles[0] == ("truth", ["dust 88%", "cell 10%"])
    assert titles[1][0] == "prediction"
    line = len(drawn) - 480
    above = line // 2
    assert (drawn[above + 475, 5] == 128).all()
    assert drawn[above + 200, 5, 2] > drawn[above + 200, 5, 0]  # blue


def test_small_pictures_are_drawn_larger() -> None:
    """And without a truth there is one panel."""
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.zeros((1, 60, 100))))
    drawn = draw_sample(PHOTO[:60, :100], sample, META)
    assert drawn.shape[1] == 500


def test_a_picture_without_labels_has_no_truth() -> None:
    """MMDetection packs an empty truth where no annotations were loaded."""
    found = objects(2, "tensor")
    found.scores = torch.tensor([0.9, 0.8])
    sample = DetDataSample(gt_instances=InstanceData(), pred_instances=found)
    alone = draw_sample(PHOTO, sample, META, with_truth=False)
    assert np.array_equal(draw_sample(PHOTO, sample, META), alone)
