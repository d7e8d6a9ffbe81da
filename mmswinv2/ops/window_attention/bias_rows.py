"""Position bias of some query rows, without the bias of every pair of tokens.

A row of a window holds what has the same vertical place: ``w`` tokens of an image,
``t * w`` of a clip. Tokens are in the order of rows here, so the bias of a query
towards all keys is one run of ``N`` numbers in a *strip*: the table in which the
columns of a window are expanded and its rows are not. Strips are smaller than the bias
of all pairs by half a window's height: 3 MB in place of 50 for 12 heads at window 32.
"""
# window (h, w) or (t, h, w), c tokens of a row, N = h * c, n heads, m heads of a step,
# G windows of a step

import itertools
import math
from typing import Any

from torch import Tensor


def rows_of(window: tuple[int, ...]) -> tuple[int, int]:
    """Rows h of a window, and tokens c of each."""
    return window[-2], math.prod(_columns(window))


def _columns(window: tuple[int, ...]) -> tuple[int, ...]:
    return *window[:-2], window[-1]


def by_row(x: Tensor, first: int, axes: int) -> Tensor:
    """Axes of a window in the order of its rows, from that of the map; a view.

    Args:
        x (Tensor): ``(..., *window, ...)``.
        first (int): Where the window begins.
        axes (int): How many it has.
    """
    return x.movedim(first + axes - 2, first)


def strips(table: Tensor, window: tuple[int, ...]) -> Tensor:
    """Strip of every column of queries.

    Args:
        table (Tensor): ``(n, *(2 * size - 1))``.
        window (tuple[int, ...]): In tokens.

    Returns:
        Tensor: ``(n, c, (2h - 1) * c)``; :func:`run` tells where a query row lies.
    """
    axes = len(window)
    columns = [*range(1, axes - 1), axes]
    pairs = table.flip([*range(1, axes + 1)])
    for axis in columns:
        pairs = pairs.unfold(axis, window[axis - 1], 1)  # last is first
    # (n, *columns of queries, 2h - 1, *columns of keys)
    pairs = pairs.flip(columns).movedim(axes - 1, axes)
    return pairs.reshape(len(table), rows_of(window)[1], -1)


def fold_strips(grad: Tensor, window: tuple[int, ...]) -> Tensor:
    """Gradient of :func:`strips`, ``(n, c, (2h - 1) * c)`` -> that of the table."""
    columns = _columns(window)
    table = grad.new_zeros(len(grad), *(2 * size - 1 for size in window))
    rows = by_row(table, 1, len(window))
    parts = grad.unflatten(2, (-1, *columns)).unbind(1)
    for place, part in zip(itertools.product(*map(range, columns)), parts):
        runs = [slice(n - 1 - at, 2 * n - 1 - at) for n, at in zip(columns, place)]
        there: Any = (..., *runs)
        rows[there].add_(part)
    return table.flip([*range(1, table.dim())])


def run(row: int, h: int, c: int) -> slice:
    """Where the queries of one of h rows have their bias towards all keys."""
    return slice((h - 1 - row) * c, (2 * h - 1 - row) * c)


def biased_logits(
    strip: Tensor, windows: int, rows: range, window: tuple[int, ...]
) -> Tensor:
    """Bias of some window rows of queries, for every window anew.

    Args:
        strip (Tensor): Strips of some heads, ``(m, c, (2h - 1) * c)``.
        windows (int): Number of windows G.
        rows (range): Window rows of the queries.
        window (tuple[int, ...]): In tokens.

    Returns:
        Tensor: ``(m, G, rows * c, N)``, contiguous.
    """
    h, c = rows_of(window)
    out = strip.new_empty(len(strip), windows, len(rows), c, h * c)
    for i, row in enumerate(rows):
        out[:, :, i] = strip[:, None, :, run(row, h, c)]
    return out.flatten(2, 3)


def add_bias_gradient_(
    grad: Tensor, logits: Tensor, rows: range, window: tuple[int, ...]
) -> None:
    """Add the gradient of logits ``(m, G, rows * c, N)`` to that of their strips."""
    h, c = rows_of(window)
    total = logits.sum(1).unflatten(1, (len(rows), c))
    for i, row in enumerate(rows):
        grad[:, :, run(row, h, c)].add_(total[:, i])
