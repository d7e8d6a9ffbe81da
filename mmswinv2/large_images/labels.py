"""The classes of a large picture's pixels, from scores of overlapping tiles.

The sums of scores are MMSegmentation's, but never those of the whole picture: a pixel
that no later tile touches is decided at once.
"""
# C channels of scores; H W of the picture, h w of a tile, in px

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from .grid import Grid, Span

Decide = Callable[[Tensor], Tensor]  # from average scores (C, h, w) to labels (h, w)


def label_dtype(classes: int) -> np.dtype:
    """Of label maps: 8 bits where they are enough."""
    return np.dtype(np.uint8 if classes <= 255 else np.int32)


def slide(
    scores: Iterator[Tensor], grid: Grid, decide: Decide, dtype: np.dtype
) -> np.ndarray:
    """Averages the scores of tiles and decides for every pixel.

    The sum of a pixel's scores takes its tiles in the order of ``slide_inference``, so
    that results are the same bits.

    Args:
        scores (Iterator[Tensor]): Of every tile of the grid, ``(C, h, w)``.
        grid (Grid): Tiles of the picture.
        decide (Callable): From averages to labels.
        dtype (dtype): Of labels.

    Returns:
        ndarray: Labels ``(H, W)``.
    """
    labels = np.empty(grid.size, dtype)
    below: Tensor | None = None  # sums that the next row of tiles goes on with
    rows, columns = _with_ends(grid.rows), _with_ends(grid.columns)
    held = 0  # rows of ``below`` that count
    for top, bottom, next_top in rows:
        left: Tensor | None = None  # sums that the next tile of this row goes on with
        seen = 0  # columns of this row that ``left`` and earlier tiles cover
        for start, end, next_start in columns:
            part = next(scores)
            if below is None:
                size = (len(part), grid.overlap, grid.size[1])
                below = part.new_empty(size)
            part = part.clone()
            if left is not None:
                part[..., : seen - start] += left
            new = max(seen - start, 0)
            part[:, :held, new:] += below[:, :held, start + new : end]
            done, ready = next_top - top, next_start - start
            times = _times(grid.rows, top, next_top)[:, None] * _times(
                grid.columns, start, next_start
            )
            average = part[:, :done, :ready] / times.to(part)
            decided = decide(average).to("cpu").numpy()
            labels[top:next_top, start:next_start] = decided
            below[:, : bottom - next_top, start:next_start] = part[:, done:, :ready]
            left, seen = part[..., ready:].clone(), end
        held = bottom - next_top
    return labels


def _with_ends(tiles: list[Span]) -> list[tuple[int, int, int]]:
    """Each with the start of the next one, the last with its own end."""
    starts = [start for start, _ in tiles[1:]] + [tiles[-1][1]]
    return [(*tile, start) for tile, start in zip(tiles, starts)]


def _times(tiles: list[Span], start: int, end: int) -> Tensor:
    """How many tiles cover each px from ``start`` to ``end``."""
    times = torch.zeros(end - start)
    for first, last in tiles:
        times[max(first - start, 0) : max(last - start, 0)] += 1
    return times
