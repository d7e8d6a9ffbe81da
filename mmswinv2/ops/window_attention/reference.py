"""Window attention written out step by step: slow, readable, fp64 capable.

The truth that every other implementation is tested against.
"""
# B batch, H W map, h w window, Y X windows, N = h * w tokens, n heads, d head channels

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


def relative_position_index(window: tuple[int, int], device: torch.device) -> Tensor:
    """Row of the flattened bias table for every pair of tokens, ``(N, N)``."""
    h, w = window
    y = torch.arange(h, device=device).repeat_interleave(w)
    x = torch.arange(w, device=device).repeat(h)
    dy = y[:, None] - y[None, :] + h - 1
    dx = x[:, None] - x[None, :] + w - 1
    return dy * (2 * w - 1) + dx


def reference_window_attention(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
    dropout: float,
) -> Tensor:
    """See :func:`mmswinv2.ops.window_attention.window_attention`."""
    H, W = map(int, qkv.shape[1:3])  # tensors while tracing
    n = table.shape[0]
    exact = torch.promote_types(qkv.dtype, torch.float32)

    windows = partition(pad_and_shift(qkv, window, shift), window)  # (B, Y, X, N, 3C)
    windows = windows.to(exact).unflatten(-1, (3, n, -1)).transpose(-4, -2)
    q, k, v = windows.unbind(-3)  # (B, Y, X, n, N, d) each

    logits = scale.to(exact)[:, None, None] * unit_length(q) @ unit_length(k).mT
    index = relative_position_index(window, table.device)
    logits = logits + table.to(exact).flatten(1)[:, index]  # (B, Y, X, n, N, N)
    logits = logits + _all_masks((H, W), window, shift, logits)

    attention = F.dropout(logits.softmax(-1), dropout)
    out = (attention @ v).transpose(-3, -2).flatten(-2)  # (B, Y, X, N, C)
    out = unshift_and_crop(reverse(out, window), (H, W), shift)
    return out.to(qkv.dtype).contiguous()


def _all_masks(
    size: tuple[int, int],
    window: tuple[int, int],
    shift: tuple[int, int],
    like: Tensor,
) -> Tensor:
    """Masks of all windows of a map, ``(Y, X, 1, N, N)``."""
    rows = axis_labels(size[0], window[0], shift[0])
    columns = axis_labels(size[1], window[1], shift[1])
    N = window[0] * window[1]
    masks = like.new_zeros(len(rows), len(columns), 1, N, N)
    for i, labels_y in enumerate(rows):
        for j, labels_x in enumerate(columns):
            mask = attention_mask(labels_y, labels_x, like)
            if mask is not None:
                masks[i, j, 0] = mask
    return masks
