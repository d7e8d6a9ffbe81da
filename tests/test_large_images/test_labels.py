"""Labels of a large picture are those of MMSegmentation's sums of the whole of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmswinv2.large_images.grid import Grid, batches
from mmswinv2.large_images.labels import label_dtype, slide

GRIDS = [
    Grid((40, 52), (16, 16), (10, 10)),  # the last tiles overlap by more
    Grid((40, 52), (16, 12), (5, 4)),  # up to four tiles along an axis
    Grid((33, 16), (16, 16), (16, 16)),  # one column, tiles side by side
    Grid((9, 70), (9, 16), (11, 11)),  # a picture lower than a tile
    Grid((7, 5), (7, 5), (3, 3)),
    Grid.even((97, 64), 32, 21),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_labels_are_those_of_all_sums_at_once(grid: Grid) -> None:
    """Bit by bit, whatever the tiles share."""
    height, width = grid.size
    generator = torch.Generator().manual_seed(0)
    sums, times = torch.zeros(5, height, width), torch.zeros(1, height, width)
    tiles = []
    for (top, bottom), (left, right) in grid:
        scores = torch.randn(5, bottom - top, right - left, generator=generator)
        sums += F.pad(scores, (left, width - right, top, height - bottom))
        times[:, top:bottom, left:right] += 1
        tiles.append(scores)
    averages = sums / times
    found = slide(iter(tiles), grid, lambda x: x[3], np.dtype(np.float32))
    assert np.array_equal(found, averages[3].numpy())
    labels = slide(iter(tiles), grid, lambda x: x.argmax(0), label_dtype(5))
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, averages.argmax(0).numpy())


def test_even_tiles_share_alike() -> None:
    """None of them overlaps another by more than needed, and all of it is covered."""
    grid = Grid.even((10000, 700), 512, 341)
    shared = [a[1] - b[0] for a, b in pairwise(grid.rows)]
    assert max(shared) == grid.overlap < min(shared) + 28 < 205  # a px for each tile
    assert grid.rows[0][0] == 0 and grid.rows[-1][1] == 10000
    assert len(grid) == sum(map(len, batches(grid, 4))) == len([*grid])


def test_many_classes_do_not_fit_into_8_bits() -> None:
    """255 is what hosts ignore, and so no class."""
    assert [label_dtype(n) for n in (255, 256)] == [np.uint8, np.int32]
