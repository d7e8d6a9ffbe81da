"""Window attention written out step by step: slow, readable, fp64 capable.

The truth that every other implementation is tested against.
"""
# B batch, counts: windows per axis, N tokens of a window, n heads, d head channels

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .windows import (
    attention_mask,
    axis_labels,
    pad_and_shift,
    partition,
    reverse,
    unit_length,
    unshift_and_crop,
)


def relative_position_index(window: tuple[int, ...], device: torch.device) -> Tensor:
    """Row of the flattened bias table for every pair of tokens, ``(N, N)``.

    A token has a linear position in the table; that of a pair is the difference, from
    the centre.
    """
    position = torch.zeros((), dtype=torch.long, device=device)
    for size in window:
        along = torch.arange(size, device=device)
        position = position[..., None] * (2 * size - 1) + along
    position = position.flatten()
    return position[:, None] - position + position[-1]


def reference_window_attention(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, ...],
    shift: tuple[int, ...],
    dropout: float,
) -> Tensor:
    """See :func:`mmswinv2.ops.window_attention.window_attention`."""
    size = tuple(map(int, qkv.shape[1:-1]))  # tensors while tracing
    n = table.shape[0]
    exact = torch.promote_types(qkv.dtype, torch.float32)

    windows = partition(
        pad_and_shift(qkv, window, shift), window
    )  # (B, *counts, N, 3C)
    windows = windows.to(exact).unflatten(-1, (3, n, -1)).transpose(-4, -2)
    q, k, v = windows.unbind(-3)  # (B, *counts, n, N, d) each

    logits = scale.to(exact)[:, None, None] * unit_length(q) @ unit_length(k).mT
    index = relative_position_index(window, table.device)
    logits = logits + table.to(exact).flatten(1)[:, index]  # (B, *counts, n, N, N)
    logits = logits + _all_masks(size, window, shift, logits)

    attention = F.dropout(logits.softmax(-1), dropout)
    out = (attention @ v).transpose(-3, -2).flatten(-2)  # (B, *counts, N, C)
    out = unshift_and_crop(reverse(out, window), size, shift)
    return out.to(qkv.dtype).contiguous()


def _all_masks(
    size: tuple[int, ...],
    window: tuple[int, ...],
    shift: tuple[int, ...],
    like: Tensor,
) -> Tensor:
    """Masks of all windows of a map, ``(*counts, 1, N, N)``."""
    axes = [axis_labels(*axis) for axis in zip(size, window, shift)]
    N = math.prod(window)
    masks = like.new_zeros(*map(len, axes), 1, N, N)
    for place in itertools.product(*(range(len(axis)) for axis in axes)):
        labels = tuple(axis[i] for axis, i in zip(axes, place))
        mask = attention_mask(labels, like)
        if mask is not None:
            masks[(*place, 0)] = mask
    return masks
