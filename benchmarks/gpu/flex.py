"""The same operator on ``torch.nn.attention.flex_attention``, to compare with.

Windows are its batch, so they are copied out of the map and back; bias and regions are
read by its ``score_mod``.
"""
# B batch, H W map, h w window, Y X windows, N = h * w tokens, n heads, d head channels

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from mmswinv2.ops.window_attention.sdpa import expand_table
from mmswinv2.ops.window_attention.windows import (
    PADDING,
    axis_labels,
    pad_and_shift,
    partition,
    reverse,
    unit_length,
    unshift_and_crop,
)

Pair = tuple[int, int]


def flex_window_attention(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: Pair,
    shift: Pair,
    region: Tensor,
) -> Tensor:
    """Scaled cosine attention in windows, ``(B, H, W, 3C)`` -> ``(B, H, W, C)``.

    To be compiled; plain, it keeps all logits. ``region`` is from :func:`regions`.
    """
    H, W = qkv.shape[1:3]
    n = len(table)
    q, k, v = qkv.unflatten(-1, (3, n, -1)).unbind(-3)
    q = (unit_length(q) * scale[:, None]).to(qkv.dtype)
    k = unit_length(k).to(qkv.dtype)
    x = torch.stack((q, k, v)).flatten(-2)
    x = partition(pad_and_shift(x, window, shift), window)  # (3, B, Y, X, N, C)
    q, k, v = x.flatten(1, 3).unflatten(-1, (n, -1)).transpose(2, 3).contiguous()
    bias = expand_table(table)
    count = len(region)

    def score_mod(
        score: Tensor, b: Tensor, head: Tensor, query: Tensor, key: Tensor
    ) -> Tensor:
        seen = region[b % count, query] == region[b % count, key]
        return torch.where(seen, score + bias[head, query, key], -float("inf"))

    out = flex_attention(
        q, k, v, score_mod=score_mod, scale=1.0
    )  # (B * Y * X, n, N, d)
    out = out.transpose(1, 2).flatten(-2).unflatten(0, x.shape[1:4])
    return unshift_and_crop(reverse(out, window), (H, W), shift)


def regions(size: Pair, window: Pair, shift: Pair, device: torch.device) -> Tensor:
    """Region of every token of every window, ``(Y * X, N)``; padding is one."""
    rows, columns = (
        torch.tensor(axis_labels(*axis), device=device)
        for axis in zip(size, window, shift)
    )  # (Y, h) and (X, w)
    y, x = rows[:, None, :, None], columns[None, :, None, :]
    region = torch.where((y == PADDING) | (x == PADDING), PADDING, 2 * y + x)
    return region.flatten(2).flatten(0, 1)
