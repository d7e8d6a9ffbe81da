"""Label maps go where the pixels of their pictures go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS

import mmswinv2.pretraining  # noqa: F401  (registers the transforms)
from mmswinv2.pretraining.token_labeling import check_pipeline, sample_maps
from mmswinv2.pretraining.token_labeling.geometry import IDENTITY
from mmswinv2.pretraining.token_labeling.samples import stack_geometry

GRID = (6, 9)  # of tokens
MAP = (40, 56)  # of labels
OUTSIDE = dict(pad_val=(0, 0, 0), prob=1.0, interpolation="bilinear")
STEPS = [
    dict(type="mmswinv2.RandomResizedCrop", scale=(90, 117)),
    dict(type="Resize", scale=(130, 84)),
    dict(type="ResizeEdge", scale=100, edge="short"),
    dict(type="mmswinv2.CenterCrop", crop_size=(88, 66)),
    dict(
        type="mmswinv2.CenterCrop",
        crop_size=(160, 140),
        auto_pad=True,
        pad_cfg=dict(type="Pad"),
    ),
    dict(type="mmswinv2.RandomCrop", crop_size=(66, 88)),
    dict(type="mmswinv2.RandomCrop", crop_size=80, padding=(3, 9)),
    dict(
        type="mmswinv2.RandomCrop",
        crop_size=(150, 140),
        padding=(1, 4, 7, 2),
        pad_if_needed=True,
    ),
    dict(
        type="mmswinv2.RandomFlip",
        prob=0.8,
        direction=["horizontal", "vertical", "diagonal"],
    ),
    dict(type="mmswinv2.Rotate", magnitude_range=(0, 30), **OUTSIDE),
    dict(type="mmswinv2.Rotate", angle=20.0, center=(10.0, 70.0), scale=0.8, **OUTSIDE),
    dict(
        type="mmswinv2.RandAugment",
        policies=[
            dict(type="Rotate", magnitude_range=(0, 30), **OUTSIDE),
            *(
                dict(type=kind, magnitude_range=(0, 0.4), direction=way, **OUTSIDE)
                for kind in ("Shear", "Translate")
                for way in ("horizontal", "vertical")
            ),
        ],
        num_policies=2,
        magnitude_level=7,
        magnitude_std=0.5,
    ),
]


def positions(height: int, width: int) -> np.ndarray:
    """``(height, width, 3)``: x and y of each cell's centre, and 1."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack((x / width, y / height, np.ones_like(x)), -1).astype(np.float32)


def run(steps: list[dict], seed: int, size: tuple[int, int] = (96, 130)) -> dict:
    """What steps make of a picture whose colours are its positions."""
    np.random.seed(seed)
    results = dict(img=positions(*size), img_shape=size, geometry=IDENTITY)
    even = dict(type="Resize", scale=(12 * GRID[1], 12 * GRID[0]))
    return Compose([TRANSFORMS.build(dict(s)) for s in (*steps, even)])(results)


def errors(results: dict) -> np.ndarray:
    """How far labels are from the pixels they belong to, at every cell of the grid.

    Only of cells that show the picture alone, and not its outermost pixels, which
    interpolation mixes with what is beyond.
    """
    picture = results["img"]
    cells = picture.reshape(GRID[0], 12, GRID[1], 12, 3).swapaxes(1, 2)
    maps = torch.from_numpy(positions(*MAP)).permute(2, 0, 1)[None]
    values, inside = sample_maps(maps, stack_geometry([results], "cpu"), GRID)
    found = []
    for i, j in np.ndindex(*GRID):
        seen, whole = cells[i, j, ..., :2].reshape(-1, 2), cells[i, j, ..., 2]
        if abs(whole.mean() - 0.5) > 0.25:
            assert bool(inside[0, i, j]) == (whole.mean() > 0.5), (i, j)
        if whole.min() > 0.999 and 0.02 < seen.min() < seen.max() < 0.98:
            found.append(np.abs(values[0, :2, i, j].numpy() - seen.mean(0)).max())
    return np.array(found)


@given(st.lists(st.sampled_from(STEPS), max_size=5), st.integers(0, 10**6))
@settings(max_examples=60)
def test_labels_go_where_the_pixels_go(steps: list[dict], seed: int) -> None:
    """Any steps in any order, rectangles: a cell's label is of the pixels in it."""
    found = errors(run(steps, seed))
    assert (found < 2e-3).all(), (found.max(), steps)
