"""Masks of a large picture, compressed in their boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmswinv2.drawing import draw_sample
from mmswinv2.large_images import CroppedMasks


def some_masks(size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """Noise in boxes anywhere, one of them full, and an empty mask."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size), np.uint8)
    for mask in masks[1:]:
        y, x = rng.integers(0, size)
        box = mask[
            y : y + rng.integers(1, size[0] + 1), x : x + rng.integers(1, size[1] + 1)
        ]
        box[:] = rng.integers(0, 2, box.shape)
    masks[-1] = 1
    return masks


@pytest.mark.parametrize("size", [(1, 1), (2, 21), (19, 1), (30, 24)])
def test_encoded_masks_are_those_of_the_whole_picture(size: tuple[int, int]) -> None:
    """As pycocotools writes them, to the byte."""
    masks = some_masks(size, 40)
    found = CroppedMasks.cut_out(masks, size).encoded()
    for mask, encoded in zip(masks, found, strict=True):
        expected = coco_mask.encode(np.asfortranarray(mask))
        assert encoded["counts"] == expected["counts"].decode()
        assert encoded["size"] == [*size]


def test_masks_of_a_tile_lie_where_the_tile_lies() -> None:
    """And those of a copy are as much larger as the picture is."""
    masks = some_masks((20, 30), 6)
    moved = CroppedMasks.cut_out(masks, (50, 60), at=(20, 10)).encoded()
    for mask, encoded in zip(masks, moved, strict=True):
        whole = coco_mask.decode(encoded)
        assert np.array_equal(whole[20:40, 10:40], mask)
        assert whole.sum() == mask.sum()
    block = np.zeros((1, 20, 30), bool)
    block[0, 5:15, 10:20] = True
    (grown,) = CroppedMasks.cut_out(block, (41, 61), scale=(41 / 20, 61 / 30)).encoded()
    assert coco_mask.toBbox(grown) == pytest.approx([20.3, 10.25, 20.3, 20.5], abs=1)


def test_objects_are_drawn_alike_with_either_kind_of_masks() -> None:
    """Chosen by score, and scaled where the picture is small."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (90, 120, 3), np.uint8)
    masks = some_masks((90, 120), 8)
    found = InstanceData(
        bboxes=torch.rand(8, 4).sort(-1).values * 90,
        labels=torch.arange(8) % 2,
        scores=torch.linspace(0.1, 0.9, 8),
    )
    drawn = []
    for kind in (torch.from_numpy(masks), CroppedMasks.cut_out(masks, (90, 120))):
        sample = DetDataSample(pred_instances=found.clone())
        sample.pred_instances.masks = kind
        drawn.append(draw_sample(pixels, sample, dict(classes=["cell", "dust"])))
    assert np.array_equal(*drawn)
