"""Windows of a map in pieces: where their tokens are, and who sees whom.

Windows that hold neither padding nor a seam of the shift are rectangles of the map and
are copied as such; those of the bottom and right border are gathered by index.
"""
# B batch, H W map, h w window, Y X windows, G windows of a piece, N = h * w tokens,
# P heads of all that a token holds, d head channels

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from ..kept import kept
from .windows import MASK_VALUE


class InnerWindows:
    """A rectangle of windows without padding and seams; all tokens see each other.

    Args:
        area (tuple[slice]): Images, rows and columns of the map, in tokens.
        window (tuple[int, int]): Window height and width in tokens.
        size (tuple[int, int, int]): Size of the whole map, (B, H, W).
    """

    def __init__(
        self,
        area: tuple[slice, slice, slice],
        window: tuple[int, int],
        size: tuple[int, int, int],
    ) -> None:
        self.area, self.window, self.size = area, window, size

    def read(self, x: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
        """A copy of the tokens of a map, ``(B, H, W, P * d)`` -> ``(P, G, N, d)``."""
        x = self._by_window(x, heads).to(
            dtype, copy=True, memory_format=torch.contiguous_format
        )
        return x.flatten(4, 5).flatten(1, 3)

    def write(self, rows: Tensor, x: Tensor) -> None:
        """Inverse of :meth:`read`, into the rows of ``(B * H * W + 1, P * d)``."""
        windows = self._by_window(rows[:-1].unflatten(0, self.size), len(x))
        windows.copy_(x.view(windows.shape))

    def mask(self, dtype: torch.dtype) -> None:
        """None: there is nothing to hide."""

    def _by_window(self, x: Tensor, heads: int) -> Tensor:
        """``(B, H, W, P * d)`` -> those of the area, ``(P, B, Y, X, h, w, d)``."""
        h, w = self.window
        x = x[self.area].unflatten(3, (heads, -1))
        x = x.unflatten(2, (-1, w)).unflatten(1, (-1, h))
        return x.permute(5, 0, 1, 3, 2, 4, 6)


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
        rows = x.flatten(0, 2)
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
    size: tuple[int, int, int],
    window: tuple[int, int],
    shift: tuple[int, int],
    limit: int,
    device: torch.device,
) -> Iterator[InnerWindows | BorderWindows]:
    """All windows of a map, at most ``limit`` at a time.

    Args:
        size (tuple[int, int, int]): Images B, map height H and width W in tokens.
        window (tuple[int, int]): Window height and width in tokens.
        shift (tuple[int, int]): Cyclic shift in tokens.
        limit (int): Most windows of a piece.
        device (torch.device): Of indices and masks.
    """
    B, *lengths = size
    # Windows before the first padded or wrapped token.
    inner = [max(x - s, 0) // w for x, w, s in zip(lengths, window, shift)]
    total = [-(-x // w) for x, w in zip(lengths, window)]
    if inner != total and B * total[0] * total[1] <= limit:
        inner = [0, 0]  # few windows: one piece rather than two
    columns = max(inner[1], 1)
    step_y, step_b = limit // columns, limit // max(columns * inner[0], 1)
    axes = ((B, 1, 0, step_b), *zip(inner, window, shift, (step_y, limit)))
    for area in itertools.product(*(_spans(*axis) for axis in axes)):
        yield InnerWindows(area, window, size)
    if inner == total:
        return
    parts = []
    for places in _places(size, window, shift, device):
        right, below = places[:, : inner[0], inner[1] :], places[:, inner[0] :]
        parts.append(torch.cat((right.flatten(0, 2), below.flatten(0, 2))).split(limit))
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
    size: tuple[int, int, int],
    window: tuple[int, int],
    shift: tuple[int, int],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Token and region at every place of every window, ``(B, Y, X, N)`` each.

    Tokens are counted over the flat ``(B, H, W)``; padding has their number, and region
    -1. Regions joined by the shift differ.
    """
    B, H, W = size
    tokens, wrapped = [], []
    for length, w, s in zip((H, W), window, shift):
        rolled = torch.arange(s, s + length + -length % w, device=device)
        wrapped.append((rolled >= len(rolled)).char())
        tokens.append(rolled % len(rolled))
    y, x = tokens[0][:, None], tokens[1]
    real = (y < H) & (x < W)
    image = torch.arange(B, device=device)[:, None, None] * (H * W)
    index = torch.where(real, image + y * W + x, B * H * W)
    region = (2 * wrapped[0][:, None] + wrapped[1]).masked_fill_(~real, -1)
    return tuple(
        part.unflatten(2, (-1, window[1]))
        .unflatten(1, (-1, window[0]))
        .transpose(2, 3)
        .flatten(-2)
        for part in (index, region.expand_as(index))
    )
