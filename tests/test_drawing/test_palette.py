"""Colours of classes stay apart."""

import cv2
import numpy as np
import pytest

from mmswinv2.drawing import distinct_colors, palette_of


@pytest.mark.parametrize(("count", "distance"), [(2, 100), (11, 45), (80, 15)])
def test_generated_colours_are_well_apart(count: int, distance: float) -> None:
    """In Lab, where 2 is just seen; the hosts' lots come as near as 4."""
    colors = np.array(distinct_colors(count), np.float32)[None] / 255
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    apart[np.arange(count), np.arange(count)] = np.inf
    assert apart.min() > distance
    assert lab[:, 0].min() > 30 and lab[:, 0].max() < 90  # neither black nor white


def test_fewer_colours_are_the_first_of_more() -> None:
    """A class keeps its colour when another is added."""
    assert distinct_colors(30)[:7] == distinct_colors(7)


@pytest.mark.parametrize("high", [255, 256, None])
def test_palettes_by_lot_do_not_count(high: int | None) -> None:
    """Neither MMSegmentation's nor MMDetection's, nor none at all."""
    lot = np.random.RandomState(42).randint(0, high, (5, 3)).tolist() if high else None
    meta = dict(classes=list("abcde"), palette=lot)
    assert palette_of(meta) == list(distinct_colors(5))


def test_a_palette_of_the_data_is_kept() -> None:
    """But not one of other classes, as a CocoDataset with one's own has it."""
    palette = [[1, 2, 3], [4, 5, 6]]
    assert palette_of(dict(classes=["a", "b"], palette=palette))[1] == (4, 5, 6)
    meta = dict(classes=["a"], palette=palette)
    assert palette_of(meta) == list(distinct_colors(1))
