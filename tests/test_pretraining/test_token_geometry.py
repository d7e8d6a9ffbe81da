"""Label maps go where the pixels of their pictures go."""

from __future__ import annotations

from unittest.mock import patch

import mmpretrain.datasets.transforms as host
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain.datasets.transforms.auto_augment import RANDAUG_POLICIES
from mmpretrain.registry import TRANSFORMS
from tiny import ROOT

import mmswinv2.pretraining  # noqa: F401  (registers the transforms)
from mmswinv2.pretraining.token_labeling import check_pipeline, sample_maps
from mmswinv2.pretraining.token_labeling.geometry import IDENTITY, of_coverage, show_on
from mmswinv2.pretraining.token_labeling.samples import stack_geometry

SPATIAL = ("Rotate", "Shear", "Translate")
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


SIZES = st.tuples(st.integers(40, 200), st.integers(40, 200))


@given(SIZES, st.integers(0, 10**6))
@settings(max_examples=20)
def test_the_training_pipeline(size: tuple[int, int], seed: int) -> None:
    """That of the configs, pictures of 8 bits and any shape, without its colours."""
    cfg = Config.fromfile(ROOT / "configs/_base_/datasets/token_labels_256px.py")
    crop, flip, augment = cfg.train_pipeline[2:5]
    spatial = [p for p in RANDAUG_POLICIES["timm_increasing"] if p["type"] in SPATIAL]
    assert len(spatial) == 5
    augment.update(policies=spatial, hparams=dict(pad_val=[0, 0, 0]))
    np.random.seed(seed)
    picture = (positions(*size) * 255).round().astype(np.uint8)
    results = dict(img=picture, img_shape=size, geometry=IDENTITY)
    steps = [crop, flip, augment, dict(type="Resize", scale=(108, 72))]
    results = Compose([TRANSFORMS.build(step) for step in steps])(results)
    results["img"] = results["img"].astype(np.float32) / 255
    found = errors(results)
    # 8 bits, and half a pixel of the least crop where the nearest one is taken
    assert (found < 0.01).all(), found.max()


@pytest.mark.parametrize("steps", [[0, 8, 11], [3, 5, 6, 7], [9, 10, 1, 2, 4]])
def test_pictures_are_those_of_mmpretrain(steps: list[int]) -> None:
    """Twins draw the same numbers, and do the same with them."""
    own = [dict(STEPS[i]) for i in steps]
    plain = [{**s, "type": s["type"].removeprefix("mmswinv2.")} for s in own]
    for seed in range(5):
        found, expected = run(own, seed), run(plain, seed)
        np.testing.assert_array_equal(found["img"], expected["img"])
        assert len(found["geometry"]) > 1 and expected["geometry"] is IDENTITY


def test_swapped_crop() -> None:
    """Crops as the authors' code reads them: the example that was worked out by hand.

    The middle of a crop at top 0, left 0.5, height 0.3, width 0.4 lies at x 12.1, y 2.2
    of a map of 18 x 18, but is read at x 2.2, y 12.1.
    """
    maps = torch.from_numpy(np.mgrid[:18, :18][None, ::-1].astype(np.float32).copy())
    found = []
    for swapped in (False, True):
        crop = TRANSFORMS.build(
            dict(type="mmswinv2.RandomResizedCrop", scale=10, swap_crop_axes=swapped)
        )
        with patch.object(
            host.RandomResizedCrop, "rand_crop_params", lambda *_: (0, 50, 30, 40)
        ):
            results = crop(dict(img=np.zeros((100, 100, 3), np.uint8)))
        values, inside = sample_maps(maps, stack_geometry([results], "cpu"), (1, 1))
        assert inside.all()
        found.append(values.flatten().tolist())
    assert found[0] == pytest.approx([12.1, 2.2], abs=0.03)
    assert found[1] == pytest.approx([2.2, 12.1], abs=0.03)


def test_a_swapped_crop_puts_labels_elsewhere() -> None:
    """So the test of all steps would see it."""
    steps = [dict(STEPS[0], swap_crop_axes=True)]
    assert max(errors(run(steps, seed)).max() for seed in range(3)) > 0.1


def test_maps_of_the_middle_square() -> None:
    """Where maps leave a picture's sides out, tokens there have no label."""
    picture = (60, 120)
    results = dict(img=np.zeros((*picture, 3), np.uint8))
    TRANSFORMS.build(dict(type="mmswinv2.RandomFlip", prob=1.0))(results)
    show_on(results, of_coverage("centre-square", picture))
    maps = torch.from_numpy(positions(40, 40)).permute(2, 0, 1)[None]
    values, inside = sample_maps(maps, stack_geometry([results], "cpu"), (2, 8))
    assert inside[0, 0].tolist() == [False] * 2 + [True] * 4 + [False] * 2
    # the square's x falls from left to right
    wanted = torch.tensor([0.875, 0.625, 0.375, 0.125])
    torch.testing.assert_close(values[0, 0, :, 2:6], wanted.expand(2, 4))


def test_the_pipeline_of_the_configs_is_known() -> None:
    """As well as AutoAugment and what mmcv wraps."""
    cfg = Config.fromfile(ROOT / "configs/_base_/datasets/token_labels_256px.py")
    steps = [step for step in cfg.train_pipeline if "Load" not in step.type]
    flip = dict(type="mmswinv2.RandomFlip", prob=0.5)
    steps += [
        dict(type="mmswinv2.AutoAugment", policies="imagenet"),
        dict(type="RandomApply", transforms=flip, prob=0.5),
        dict(type="RandomChoice", transforms=[[flip], [flip, flip]]),
    ]
    check_pipeline([TRANSFORMS.build(step) for step in steps])


UNKNOWN = [
    (dict(type="RandomFlip", prob=0.5), "type='mmswinv2.RandomFlip'"),
    (dict(type="RandomResizedCrop", scale=32), "type='mmswinv2.RandomResizedCrop'"),
    (dict(type="CenterCrop", crop_size=32), "type='mmswinv2.CenterCrop'"),
    (
        dict(
            type="RandAugment",
            policies="timm_increasing",
            num_policies=2,
            magnitude_level=9,
        ),
        "type='mmswinv2.Rotate'",
    ),
    (dict(type="AutoAugment", policies="imagenet"), "type='mmswinv2.Rotate'"),
    (
        dict(
            type="RandomApply", transforms=dict(type="RandomFlip", prob=0.5), prob=0.5
        ),
        "type='mmswinv2.RandomFlip'",
    ),
    (dict(type="EfficientNetCenterCrop", crop_size=32), "take it out"),
]


@pytest.mark.parametrize(("step", "cure"), UNKNOWN, ids=lambda x: str(x)[:40])
def test_unknown_geometry_is_refused(step: dict, cure: str) -> None:
    """One sentence names the transform and what to write in its place."""
    with pytest.raises(ValueError, match=r"may move pixels .* does not note") as error:
        check_pipeline([TRANSFORMS.build(step)])
    assert cure in str(error.value)
