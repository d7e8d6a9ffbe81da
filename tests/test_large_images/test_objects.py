"""Objects of a large picture are found once each, whatever their size."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmswinv2.large_images.detector import TiledDetector
from mmswinv2.large_images.levels import plan_levels
from mmswinv2.large_images.objects import own_nms
from mmswinv2.large_images.tiling import Tiling

TESTED_AT = 128  # px


class Blobs(TiledDetector):
    """Finds what is white in a picture, as far as it lies in it."""

    def __init__(self, with_masks: bool) -> None:
        model = SimpleNamespace(test_cfg=dict(nms=dict(iou_threshold=0.5)))
        pipeline = SimpleNamespace(shrink=lambda size: max(size) / TESTED_AT)
        super().__init__(model, pipeline, lambda pixels: pixels)
        self.with_masks = with_masks
        self.sizes: list[tuple[int, int]] = []

    def _test(self, inputs: list[np.ndarray]) -> list[InstanceData]:
        return self.run(inputs)

    def run(self, tiles: list[np.ndarray]) -> list[InstanceData]:
        """White blobs; the surer the larger they are."""
        self.sizes += [tile.shape[:2] for tile in tiles]
        return [self._blobs(tile) for tile in tiles]

    def _blobs(self, tile: np.ndarray) -> InstanceData:
        white = (tile[..., 0] > 127).astype(np.uint8)
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(white)
        boxes = torch.tensor(stats[1:, :4]).float().reshape(-1, 4)
        found = InstanceData(scores=0.5 + boxes[:, 2] / 1e4)
        boxes[:, 2:] += boxes[:, :2]
        found.bboxes, found.labels = boxes, torch.zeros(len(boxes), dtype=torch.long)
        if self.with_masks:
            found.masks = torch.tensor(numbers == np.arange(1, count)[:, None, None])
        return found


@pytest.mark.parametrize("with_masks", [True, False])
def test_every_object_is_found_once_at_its_place(with_masks: bool) -> None:
    """Also on borders of tiles, and those that are larger than a tile."""
    pixels = np.zeros((900, 1100, 3), np.uint8)
    truth = [(20, 30, 26, 36), (90, 90, 110, 120), (240, 20, 500, 300)]
    truth += [(600, 50, 1090, 880), (20, 700, 560, 720), (120, 400, 150, 430)]
    truth += [(0, 880, 40, 900)]
    for x1, y1, x2, y2 in truth:
        pixels[y1:y2, x1:x2] = 255
    detector, done = Blobs(with_masks), []
    tiling = Tiling(TESTED_AT, 0.75, batch=4)
    sample = detector(pixels, tiling, lambda *counts: done.append(counts))
    found = sample.pred_instances
    boxes = sorted(map(tuple, found.bboxes.tolist()))
    assert len(boxes) == len(truth)
    for box, expected in zip(boxes, sorted(truth), strict=True):
        assert box == pytest.approx(expected, abs=9)  # a px of the smallest copy
    assert boxes[:2] == [(0, 880, 40, 900), (20, 30, 26, 36)]  # of the picture itself
    assert [a for a, _ in done] == sorted(a for a, _ in done)
    assert done[-1] == (len(detector.sizes),) * 2
    assert {max(size) for size in detector.sizes} == {TESTED_AT, 138}
    if with_masks:
        for box, mask in zip(found.bboxes.tolist(), found.masks.encoded()):
            x, y, w, h = coco_mask.toBbox(mask)
            assert (x, y, x + w, y + h) == pytest.approx(box, abs=9)
            assert coco_mask.area(mask) == pytest.approx(w * h, rel=0.05)


def test_a_picture_without_objects_has_none() -> None:
    """With and without masks, of the right types."""
    pixels = np.zeros((300, 300, 3), np.uint8)
    for with_masks in (True, False):
        sample = Blobs(with_masks)(pixels, Tiling(96, 0.75), lambda *_: None)
        assert sample.pred_instances.bboxes.shape == (0, 4)
        assert len(sample.pred_instances.labels) == 0


def test_copies_end_where_a_test_would_hardly_shrink_them() -> None:
    """Half as large each time; the picture itself is always in tiles."""
    levels = plan_levels((10000, 8000), 800, shrink=12.5)
    assert [level.size for level in levels] == [
        *((10000, 8000), (5000, 4000), (2500, 2000), (1250, 1000))
    ]
    assert [level.grid is None for level in levels] == [False, False, False, True]
    assert len(plan_levels((900, 700), 800, shrink=1.1)) == 2


@pytest.mark.parametrize(
    ("test_cfg", "expected"),
    [
        (dict(rcnn=dict(nms=dict(type="soft_nms", iou_threshold=0.6))), 0.6),
        (dict(nms=dict(type="nms", iou_threshold=0.7), score_thr=0.1), 0.7),
        (dict(max_per_img=300), 0.5),
    ],
)
def test_overlaps_are_those_of_the_config(test_cfg: dict, expected: float) -> None:
    """As plain NMS: soft one would lower scores a second time."""
    assert own_nms(test_cfg) == dict(type="nms", iou_threshold=expected)
