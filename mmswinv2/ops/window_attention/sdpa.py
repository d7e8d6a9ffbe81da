"""Window attention on ``torch.nn.functional.scaled_dot_product_attention``.

Windows that share a mask form a group (interior, right column, bottom row, corner), so
the bias and mask of a call is one ``(1, heads, N, N)`` tensor, never one per window.
"""
# B batch, H W map, h w window, Y X windows, N = h * w tokens, n heads, d head channels

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
    h, w = (table.shape[1] + 1) // 2, (table.shape[2] + 1) // 2
    pairs = table.flip(1, 2).unfold(1, h, 1).unfold(2, w, 1).flip(1, 2)
    return pairs.reshape(-1, h * w, h * w)


def sdpa_window_attention(
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
    q, k, v = qkv.unflatten(-1, (3, n, -1)).unbind(-3)
    # Normalise before padding: a zero token has no direction, and no finite gradient.
    q = (unit_length(q) * scale[:, None]).to(qkv.dtype)
    k = unit_length(k).to(qkv.dtype)
    x = torch.stack((q, k, v)).flatten(-2)  # (3, B, H, W, C)
    x = partition(pad_and_shift(x, window, shift), window)  # (3, B, Y, X, N, C)

    if qkv.dtype in (torch.float16, torch.bfloat16):
        # Softmax ignores a constant; around 0 a 16-bit bias keeps one more digit.
        low, high = table.detach().flatten(1).aminmax(dim=1)
        table = table - ((low + high) / 2)[:, None, None]
    bias = expand_table(table).to(qkv.dtype)

    bands = []
    for rows, labels_y in _groups(axis_labels(H, window[0], shift[0])):
        groups = []
        for columns, labels_x in _groups(axis_labels(W, window[1], shift[1])):
            mask = attention_mask(labels_y, labels_x, like=bias)
            group_bias = bias if mask is None else bias + mask
            groups.append(_attend(x[:, :, rows, columns], group_bias, dropout))
        bands.append(groups[0] if len(groups) == 1 else torch.cat(groups, dim=2))
    out = bands[0] if len(bands) == 1 else torch.cat(bands, dim=1)  # (B, Y, X, N, C)
    # as a linear layer would make it, whose bias it fuses if it need not
    return unshift_and_crop(reverse(out, window), (H, W), shift).contiguous()


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
    """One group of windows, ``(3, B, Y, X, N, C)`` -> ``(B, Y, X, N, C)``."""
    windows = x.flatten(1, 3).unflatten(-1, (bias.shape[0], -1)).transpose(2, 3)
    # cuDNN, first choice on Hopper, plans anew for every number of windows and cannot
    # give the bias a gradient, so the choice is not left to the dispatcher. A gradient
    # of the bias alone makes the efficient kernel read memory that it never wrote.
    backends = [SDPBackend.MATH]
    if x.requires_grad or not bias.requires_grad:
        backends.append(SDPBackend.EFFICIENT_ATTENTION)
    with sdpa_kernel(backends) if x.is_cuda else nullcontext():
        out = [
            F.scaled_dot_product_attention(
                q, k, v, attn_mask=bias[None], dropout_p=dropout, scale=1.0
            )  # (B * Y * X, n, N, d)
            for q, k, v in windows.split(_windows_at_a_time(windows, bias), dim=1)
        ]
    out = out[0] if len(out) == 1 else torch.cat(out)
    return out.transpose(1, 2).flatten(-2).unflatten(0, x.shape[1:4])


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
