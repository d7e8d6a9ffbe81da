"""Window attention on ``torch.nn.functional.scaled_dot_product_attention``.

Windows that share a mask form a group (of an image: interior, right column, bottom row,
corner), so the bias and mask of a call is one ``(1, heads, N, N)`` tensor, never one
per window.
"""
# B batch, map (H, W) or (T, H, W), counts: windows per axis, N tokens of a window,
# n heads, d head channels

import math
from contextlib import nullcontext
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .windows import (
    attention_mask,
    axis_labels,
    pad_and_shift,
    partition,
    reverse,
    unit_length,
    unshift_and_crop,
)

MAX_WINDOWS = 2**16 - 1  # of a launch of the fused kernels
GRAD_BYTES = 2**30  # of gradients of the bias before their sum


def expand_table(table: Tensor) -> Tensor:
    """Bias of every pair of tokens, ``(n, 2h - 1, 2w - 1)`` -> ``(n, N, N)``.

    Strided views in place of an index: no ``(N, N)`` index buffer, and a backward pass
    without atomics.
    """
    axes = [*range(1, table.dim())]
    window = [(table.shape[axis] + 1) // 2 for axis in axes]
    pairs = table.flip(axes)
    for axis, size in zip(axes, window):
        pairs = pairs.unfold(axis, size, 1)
    N = math.prod(window)
    return pairs.flip(axes).reshape(-1, N, N)


def sdpa_window_attention(
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
    q, k, v = qkv.unflatten(-1, (3, n, -1)).unbind(-3)
    # Normalise before padding: a zero token has no direction, and no finite gradient.
    q = (unit_length(q) * scale[:, None]).to(qkv.dtype)
    k = unit_length(k).to(qkv.dtype)
    x = torch.stack((q, k, v)).flatten(-2)  # (3, B, *map, C)
    x = partition(pad_and_shift(x, window, shift), window)  # (3, B, *counts, N, C)

    if qkv.dtype in (torch.float16, torch.bfloat16):
        # Softmax ignores a constant; around 0 a 16-bit bias keeps one more digit.
        low, high = table.detach().flatten(1).aminmax(dim=1)
        middle = (low + high) / 2
        table = table - middle.view(-1, *(1 for _ in window))
    bias = expand_table(table).to(qkv.dtype)

    groups = [_groups(axis_labels(*axis)) for axis in zip(size, window, shift)]
    out = _attend_groups(x, groups, (), bias, dropout)  # (B, *counts, N, C)
    # as a linear layer would make it, whose bias it fuses if it need not
    return unshift_and_crop(reverse(out, window), size, shift).contiguous()


def _attend_groups(
    x: Tensor,
    groups: list[list[tuple[slice, tuple[int, ...]]]],
    labels: tuple[tuple[int, ...], ...],
    bias: Tensor,
    dropout: float,
) -> Tensor:
    """Attend from windows whose first axes have ``labels``, by groups of the others.

    Args:
        x (Tensor): ``(3, B, *counts, N, C)``.
        groups (list): Runs of windows along every axis, see :func:`_groups`.
        labels (tuple): Of the axes that were divided before.
        bias (Tensor): ``(n, N, N)``.
        dropout (float): Of attention weights.

    Returns:
        Tensor: ``(B, *counts, N, C)``.
    """
    axis = len(labels)
    if axis == len(groups):
        mask = attention_mask(labels, like=bias)
        return _attend(x, bias if mask is None else bias + mask, dropout)
    before = (slice(None),) * (2 + axis)
    parts = [
        _attend_groups(x[(*before, run)], groups, (*labels, of_run), bias, dropout)
        for run, of_run in groups[axis]
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1 + axis)


def _groups(
    labels: tuple[tuple[int, ...], ...],
) -> list[tuple[slice, tuple[int, ...]]]:
    """Runs of neighbouring windows with equal labels, as (slice, labels)."""
    runs, start = [], 0
    for window_labels, run in groupby(labels):
        stop = start + sum(1 for _ in run)
        runs.append((slice(start, stop), window_labels))
        start = stop
    return runs


def _attend(x: Tensor, bias: Tensor, dropout: float) -> Tensor:
    """One group of windows, ``(3, B, *counts, N, C)`` -> ``(B, *counts, N, C)``."""
    windows = x.flatten(1, -3).unflatten(-1, (bias.shape[0], -1)).transpose(2, 3)
    # cuDNN, first choice on Hopper, plans anew for every number of windows and cannot
    # give the bias a gradient, so the choice is not left to the dispatcher. A gradient
    # of the bias alone makes the efficient kernel read memory that it never wrote.
    backends = [SDPBackend.MATH]
    if x.requires_grad or not bias.requires_grad:
        backends.append(SDPBackend.EFFICIENT_ATTENTION)
    with sdpa_kernel(backends) if x.is_cuda else nullcontext():
        parts = [
            F.scaled_dot_product_attention(
                q, k, v, attn_mask=bias[None], dropout_p=dropout, scale=1.0
            )  # (windows, n, N, d)
            for q, k, v in windows.split(_windows_at_a_time(windows, bias), dim=1)
        ]
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.transpose(1, 2).flatten(-2).unflatten(0, x.shape[1:-2])


def _windows_at_a_time(windows: Tensor, bias: Tensor) -> int:
    """Windows of a call: what a launch may have, and what the bias' gradient needs.

    The efficient kernel gives the bias a gradient of every window before they are
    summed.
    """
    if not windows.is_cuda:
        return max(windows.shape[1], 1)
    if not bias.requires_grad:
        return MAX_WINDOWS
    return min(max(GRAD_BYTES // bias.nbytes, 1), MAX_WINDOWS)
