"""Colours of classes that have none of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np

Color = tuple[int, int, int]  # RGB
STEPS = 12  # of each channel, among whose colours we choose
FIRST = (230, 60, 40)
LIGHTNESS = (35, 85)  # of 100: seen on photos and on white
CHROMA = 30  # grey is the colour of much that is no class


@cache
def distinct_colors(count: int) -> tuple[Color, ...]:
    """So many colours, each as far as can be from those before it.

    Distances are Euclidean in CIE Lab, where they are about as large as they look.

    Args:
        count (int): How many.

    Returns:
        tuple[Color, ...]: RGB from 0 to 255; fewer colours are the first of more.
    """
    levels = np.linspace(0, 255, STEPS).round()
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    grid = np.concatenate([[FIRST], grid]).astype(np.uint8)
    lab = cv2.cvtColor(grid[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    usable = (lab[:, 0] > LIGHTNESS[0]) & (lab[:, 0] < LIGHTNESS[1])
    usable &= np.hypot(lab[:, 1], lab[:, 2]) > CHROMA
    grid, lab = grid[usable], lab[usable]
    chosen, nearest = [], np.full(len(lab), np.inf)
    index = 0
    for _ in range(count):
        chosen.append(tuple(grid[index].tolist()))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[index], axis=1))
        index = int(nearest.argmax())
    return tuple(chosen)


def palette_of(meta: Mapping) -> list[Color]:
    """A colour for each class of a dataset: its own, or some that stay apart.

    Args:
        meta (Mapping): ``classes``, and perhaps ``palette``. Palettes that the hosts
            draw by lot do not count, nor those of another number of classes: a
            ``CocoDataset`` with classes of one's own keeps the 80 colours of COCO's.
    """
    count = len(meta["classes"])
    palette = meta.get("palette")
    if isinstance(palette, str) or palette is None or len(palette) != count:
        return list(distinct_colors(count))
    palette = [(int(r), int(g), int(b)) for r, g, b in palette]
    by_lot = [
        np.random.RandomState(42).randint(0, high, size=(len(palette), 3))
        for high in (255, 256)  # MMSegmentation's and MMDetection's
    ]
    if any(np.array_equal(lot, palette) for lot in by_lot):
        return list(distinct_colors(count))
    return palette
