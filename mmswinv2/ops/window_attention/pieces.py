"""Windows of a map in pieces: where their tokens are, and who sees whom.

Windows that hold neither padding nor a seam of the shift are rectangles of the map and
are copied as such; those of the far borders are gathered by index. Tokens of a window
are in the order of its rows, see ``bias_rows.py``.
"""
# B batch, map (H, W) or (T, H, W), counts: windows per axis, G windows of a piece,
# N tokens of a window, P heads of all that a token holds, d head channels

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..kept import kept
from .bias_rows import by_row
from .windows import MASK_VALUE, partition


class InnerWindows:
    """A rectangle of windows without padding and seams; all tokens see each other.

    Args:
        area (tuple[slice, ...]): Images, and tokens along every axis of the map.
        window (tuple[int, ...]): In tokens.
        size (tuple[int, ...]): Size of the whole map, ``(B, *map)``.
    """

    def __init__(
        self,
        area: tuple[slice, ...],
        window: tuple[int, ...],
        size: tuple[int, ...],
    ) -> None:
        self.area, self.window, self.size = area, window, size

    def read(self, x: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
        """A copy of the tokens of a map, ``(B, *map, P * d)`` -> ``(P, G, N, d)``."""
        x = self._by_window(x, heads).to(
            dtype, copy=True, memory_format=torch.contiguous_format
        )
        return x.view(heads, -1, math.prod(self.window), x.shape[-1])

    def write(self, rows: Tensor, x: Tensor) -> None:
        """Inverse of :meth:`read`, into the rows of ``(B * tokens + 1, P * d)``."""
        windows = self._by_window(rows[:-1].unflatten(0, self.size), len(x))
        windows.copy_(x.view(windows.shape))

    def mask(self, dtype: torch.dtype) -> None:
        """None: there is nothing to hide."""

    def _by_window(self, x: Tensor, heads: int) -> Tensor:
        """``(B, *map, P * d)`` -> those of the area, ``(P, B, *counts, h, w, d)``."""
        x = x[self.area]
        axes = len(self.window)
        lengths = zip(x.shape[1:], self.window)
        pairs = (n for length, w in lengths for n in (length // w, w))
        x = x.view(len(x), *pairs, heads, -1)
        return x.permute(-2, 0, *range(1, 2 * axes, 2), *_rows_first(axes), -1)


def _rows_first(axes: int) -> list[int]:
    """Where the places of windows are behind their counts, in the order of rows."""
    *before, rows, columns = range(2, 2 * axes + 1, 2)
    return [rows, *before, columns]


class BorderWindows:
    """Windows with padding, or tokens from both sides of a seam.

    Args:
        index (Tensor): Number of every token over the flat map, ``(G, N)``; that of
            padding is the number of all tokens.
        region (Tensor): Tokens see those of the same number, ``(G, N)``.
    """

    def __init__(self, index: Tensor, region: Tensor) -> None:
        self.index, self.region = index, region

    def read(self, x: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
        """See :class:`InnerWindows`; padding is 0."""
        rows = x.flatten(0, -2)
        padding = (self.index == len(rows)).unsqueeze(-1)
        rows = rows.index_select(0, self.index.flatten().clamp_max(len(rows) - 1))
        rows = rows.unflatten(0, self.index.shape).unflatten(-1, (heads, -1))
        # (G, N, P, d)
        return rows.permute(2, 0, 1, 3).to(dtype).masked_fill(padding, 0).contiguous()

    def write(self, rows: Tensor, x: Tensor) -> None:
        """See :class:`InnerWindows`; the last row takes what padding has."""
        x = x.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)  # (G * N, P * d)
        rows.index_copy_(0, self.index.flatten(), x.to(rows.dtype))

    def mask(self, dtype: torch.dtype) -> Tensor:
        """Additive mask, ``(G, N, N)``."""
        apart = self.region[:, :, None] != self.region[:, None, :]
        return apart.to(dtype).mul_(MASK_VALUE)  # padding sees itself, to no effect


def pieces(
    size: tuple[int, ...],
    window: tuple[int, ...],
    shift: tuple[int, ...],
    limit: int,
    device: torch.device,
) -> Iterator[InnerWindows | BorderWindows]:
    """All windows of a map, at most ``limit`` at a time.

    Args:
        size (tuple[int, ...]): Images B and the map in tokens, ``(B, *map)``.
        window (tuple[int, ...]): In tokens.
        shift (tuple[int, ...]): Cyclic shift in tokens.
        limit (int): Most windows of a piece.
        device (torch.device): Of indices and masks.
    """
    B, *lengths = size
    # Windows before the first padded or wrapped token.
    inner = [max(x - s, 0) // w for x, w, s in zip(lengths, window, shift)]
    total = [-(-x // w) for x, w in zip(lengths, window)]
    if inner != total and B * math.prod(total) <= limit:
        inner = [0 for _ in window]  # few windows: one piece rather than several
    # of images and along every axis: what is left when the axes behind are whole
    steps = [limit // max(math.prod(inner[i:]), 1) for i in range(len(inner) + 1)]
    axes = ((B, 1, 0, steps[0]), *zip(inner, window, shift, steps[1:]))
    for area in itertools.product(*(_spans(*axis) for axis in axes)):
        yield InnerWindows(area, window, size)
    if inner == total:
        return
    parts = []
    for places in _places(size, window, shift, device):
        # Right of the inner windows, then below these, then later than they.
        borders = [
            places[(slice(None), *map(slice, inner[:i]), slice(inner[i], None))]
            for i in reversed(range(len(inner)))
        ]
        parts.append(torch.cat([x.flatten(0, -2) for x in borders]).split(limit))
    for index, region in zip(*parts):
        yield BorderWindows(index, region)


def _spans(count: int, length: int, start: int, step: int) -> list[slice]:
    """Some windows of an axis at a time, as tokens."""
    step = max(step, 1)
    firsts = range(0, count, step)
    return [
        slice(start + i * length, start + min(i + step, count) * length) for i in firsts
    ]


@kept(32)  # the stages of a model, shifted or not, of some image sizes
def _places(
    size: tuple[int, ...],
    window: tuple[int, ...],
    shift: tuple[int, ...],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Token and region at every place of every window, ``(B, *counts, N)`` each.

    Tokens are counted over the flat ``(B, *map)``; padding has their number, and region
    -1. Regions joined by the shift differ.
    """
    index = torch.arange(size[0], device=device)
    region = torch.zeros_like(index, dtype=torch.int8)
    real = torch.ones_like(index, dtype=torch.bool)
    for length, w, s in zip(size[1:], window, shift):
        rolled = torch.arange(s, s + length + -length % w, device=device)
        token = rolled % len(rolled)
        index = index[..., None] * length + token
        region = 2 * region[..., None] + (rolled >= len(rolled)).char()
        real = real[..., None] & (token < length)
    index.masked_fill_(~real, math.prod(size))
    region.masked_fill_(~real, -1)
    axes = len(window)

    def of_windows(x: Tensor) -> Tensor:
        windows = partition(x[..., None], window).unflatten(-2, window)
        return by_row(windows, 1 + axes, axes).flatten(1 + axes)

    return of_windows(index), of_windows(region)
