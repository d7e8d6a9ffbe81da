"""Window attention of plain operators, on maps whose sizes may be symbols.

What an exported program does: tokens are gathered by index into their windows, which
pads, shifts and partitions at once, and gathered back. The indices are made of ranges,
and nothing asks how long an axis is, so a program holds for every size.

A window never shrinks here. A map shorter than its window is padded to it, without a
shift, and padded tokens are never attended to: as the bias depends on offsets alone,
that is the attention of the shrunk window.

Which tokens see each other is told by channels behind those of a head: products of a
query's and a key's add 0 where they do and :data:`MASK_VALUE` where they do not, so
that no mask of pairs exists.
"""
# B batch, H W map in tokens, Y X windows of a map, h w window, N = h * w tokens of a
# window, n heads, d channels of a head, m channels of the mask, C = n * d

from typing import NamedTuple

import torch
from torch import Tensor

from .windows import MASK_VALUE, NORM_EPS


class Axis(NamedTuple):
    """Windows along one axis of a map."""

    token: Tensor  # (Y, h): of every place; the last one of the map in padding
    place: Tensor  # (H,): of every token of the map, in windows one after another
    queries: Tensor | None  # (Y, h, m): channels of the mask
    keys: Tensor | None  # likewise
    window: int

    @property
    def windows(self) -> int:
        """Number of windows Y."""
        return self.token.shape[0]


class Layout(NamedTuple):
    """Where the tokens of a map stand in windows."""

    tokens: Tensor  # (Y * X * N,): token of the flat map
    places: Tensor  # (H * W,): the inverse
    mask: tuple[Tensor, Tensor] | None  # of queries and keys, (Y * X, 1, N, m) each


def number(n: int) -> int | Tensor:
    """An int as it is, a symbol as a tensor ``(1,)``, for exporters that want that."""
    return n if isinstance(n, int) else torch.full((1,), n, dtype=torch.int64)


def axis(length: int, window: int, shift: int | Tensor | None) -> Axis:
    """Windows along an axis.

    Args:
        length (int): Of the map in tokens, an int or a symbol.
        window (int): In tokens.
        shift (int, optional): In tokens. None where the size is a symbol and windows
            are shifted: half a window, where the axis has more than one.
    """
    windows = (length + window - 1) // window
    size, padded = number(length), number(windows * window)
    if shift is None:
        shift = torch.arange(windows)[-1:].clamp(max=1) * (window // 2)
    rolled = torch.arange(windows)[:, None] * window + torch.arange(window) + shift
    place = torch.arange(length) - shift
    token, queries, keys = rolled, [], []
    if not isinstance(shift, int) or shift > 0:
        wrapped = rolled >= padded
        token = torch.where(wrapped, rolled - padded, rolled)
        place = torch.where(place < 0, place + padded, place)
        # Here with there, and there with here.
        queries += [wrapped, ~wrapped]
        keys += [~wrapped, wrapped]
    if not isinstance(size, int) or padded > size:
        padding = token >= size
        token = torch.where(padding, size - 1, token)
        queries.append(torch.ones_like(padding))
        keys.append(padding)
    if not queries:
        return Axis(token, place, None, None, window)
    of_queries, of_keys = (torch.stack(x, -1).float() for x in (queries, keys))
    return Axis(token, place, of_queries, of_keys, window)


def layout(rows: Axis, columns: Axis) -> Layout:
    """Windows of a map from those of its axes."""
    width, N = number(columns.place.shape[0]), rows.window * columns.window
    tokens = (rows.token * width)[:, None, :, None] + columns.token[:, None]
    inner = rows.place % rows.window * columns.window
    row = rows.place // rows.window * number(columns.windows * N) + inner
    column = columns.place // columns.window * N + columns.place % columns.window
    places = row[:, None] + column
    return Layout(tokens.flatten(), places.flatten(), _mask(rows, columns))


def _mask(rows: Axis, columns: Axis) -> tuple[Tensor, Tensor] | None:
    """Channels of queries and keys, whose products tell who sees whom."""
    if rows.keys is None and columns.keys is None:
        return None
    sizes = rows.windows, columns.windows, rows.window, columns.window
    channels = []
    for of_rows, of_columns in zip(rows[2:4], columns[2:4]):
        parts = []
        if of_rows is not None:
            parts.append(of_rows[:, None, :, None].expand(*sizes, -1))
        if of_columns is not None:
            parts.append(of_columns[None, :, None].expand(*sizes, -1))
        channels.append(torch.cat(parts, -1).flatten(2, 3).flatten(0, 1)[:, None])
    q, k = channels
    return q * MASK_VALUE, k


def gathered_window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor,
    scale: Tensor,
    mask: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """Scaled cosine attention of windows, logits and softmax in fp32.

    Args:
        q (Tensor): Queries ``(B, Y * X * N, C)``, in the order of a layout.
        k (Tensor): Keys, likewise.
        v (Tensor): Values, likewise.
        bias (Tensor): ``(n, N, N)``, fp32.
        scale (Tensor): ``(n,)``, fp32.
        mask (tuple, optional): Of the layout.

    Returns:
        Tensor: ``(B, Y * X * N, C)``.
    """
    n, N, _ = bias.shape
    images, _, C = q.shape
    q, k, v = (x.reshape(-1, N, n, C // n) for x in (q, k, v))
    q, k = q.float(), k.float()
    q = q * (scale[:, None] / _length(q))
    k = k * _length(k).reciprocal()
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (B * Y * X, n, N, d)
    if mask is not None:
        sides = (x.repeat(images, 1, 1, 1) if images > 1 else x for x in mask)
        sides = (x.expand(-1, n, -1, -1) for x in sides)
        q, k = (torch.cat((x, side), -1) for x, side in zip((q, k), sides))
    weights = (q @ k.mT + bias).softmax(-1)
    out = weights.to(v.dtype) @ v
    return out.transpose(1, 2).reshape(images, -1, C)


def _length(x: Tensor) -> Tensor:
    """Of every head's vector, ``(..., d)`` -> ``(..., 1)``; 0 is none to divide by."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(NORM_EPS)
