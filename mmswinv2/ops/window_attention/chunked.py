"""Window attention in pieces that fit into the cache, forward and backward.

The sequential attention of Swin V2 (section 3.5), made exact: the backward pass needs
the inputs only and computes the attention weights again. Tokens are gathered by index,
so nothing is padded, rolled or partitioned; logits exist for a few windows, or for some
query rows of a large window, of one head at a time.
"""
# B batch, map (H, W) or (T, H, W), G windows of a piece, N tokens of a window, h rows
# and c tokens of each, R queries of a step, n heads, m heads of a step, d channels of a
# head, C = n * d

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .bias_rows import (
    add_bias_gradient_,
    biased_logits,
    fold_strips,
    rows_of,
    strips,
)
from .pieces import BorderWindows, InnerWindows, pieces
from .windows import NORM_EPS

# Bytes of a piece's tokens and of a step's logits: what a core's cache holds, or enough
# work for a GPU.
TOKEN_BYTES = {"cpu": 2**22, "cuda": 2**28}
LOGIT_BYTES = {"cpu": 2**21, "cuda": 2**27}


def chunked_forward(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, ...],
    shift: tuple[int, ...],
) -> Tensor:
    """See :func:`mmswinv2.ops.window_attention.window_attention`."""
    size = qkv.shape[:-1]
    bias = _bias(qkv, table, window)
    out = qkv.new_empty(size.numel() + 1, qkv.shape[-1] // 3)  # one row for padding
    for piece in _pieces(qkv, window, shift):
        q, k, v, _ = _read(piece, qkv, scale)
        mask = piece.mask(q.dtype)
        o = torch.empty_like(q)
        for heads, rows in _steps(q, window):
            p = _weights(q, k, bias, mask, heads, rows, window)
            _of(o, heads, rows, window).baddbmm_(p, _of(v, heads), beta=0)
        piece.write(out, o)
    return out[:-1].unflatten(0, size)


def chunked_backward(
    grad_out: Tensor,
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, ...],
    shift: tuple[int, ...],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, table and scale; deterministic."""
    size = qkv.shape[:-1]
    grad_qkv = qkv.new_empty(size.numel() + 1, qkv.shape[-1])
    grad_scale = torch.zeros_like(scale)
    bias = _bias(qkv, table, window)
    grad_bias = torch.zeros_like(bias)
    for piece in _pieces(qkv, window, shift):
        q, k, v, inverse = _read(piece, qkv, scale)
        mask = piece.mask(q.dtype)
        g = piece.read(grad_out, len(q), q.dtype)
        grads = q.new_empty(3, *q.shape)
        for heads, rows in _steps(q, window):
            p = _weights(q, k, bias, mask, heads, rows, window)
            q_rows, g_rows = (_of(x, heads, rows, window) for x in (q, g))
            kept = float(rows.start > 0)  # of what earlier rows gave to keys and values
            _of(grads[2], heads).baddbmm_(p.mT, g_rows, beta=kept)
            grad_p = g_rows @ _of(v, heads).mT
            _softmax_backward_(grad_p, p)
            of_windows = grad_p.unflatten(0, (-1, q.shape[1]))
            add_bias_gradient_(grad_bias[heads], of_windows, rows, window)
            _of(grads[0], heads, rows, window).baddbmm_(grad_p, _of(k, heads), beta=0)
            _of(grads[1], heads).baddbmm_(grad_p.mT, q_rows, beta=kept)
        grad_scale += _unit_length_backward(grads, q, k, scale, inverse)
        piece.write(grad_qkv, grads.flatten(0, 1))
    grad_table = fold_strips(grad_bias, window).to(table.dtype)
    return grad_qkv[:-1].unflatten(0, size), grad_table, grad_scale


def _bias(qkv: Tensor, table: Tensor, window: tuple[int, ...]) -> Tensor:
    return strips(table.to(torch.promote_types(qkv.dtype, torch.float32)), window)


def _pieces(
    qkv: Tensor, window: tuple[int, ...], shift: tuple[int, ...]
) -> Iterator[InnerWindows | BorderWindows]:
    """Windows whose tokens, and whose logits of a head, fit."""
    *size, channels = qkv.shape
    N = math.prod(window)
    number = torch.promote_types(qkv.dtype, torch.float32).itemsize
    of_tokens = TOKEN_BYTES.get(qkv.device.type, 2**28) // (N * channels * number)
    of_logits = LOGIT_BYTES.get(qkv.device.type, 2**27) // (N * N * number)
    limit = max(min(of_tokens, of_logits), 1)
    return pieces(tuple(size), window, shift, limit, qkv.device)


def _read(
    piece: InnerWindows | BorderWindows, qkv: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scaled q, k, v, ``(n, G, N, d)``, and 1 / length of q and k, 0 for none."""
    dtype = torch.promote_types(qkv.dtype, torch.float32)
    x = piece.read(qkv, 3 * len(scale), dtype).unflatten(0, (3, -1))
    square = torch.linalg.vecdot(x[:2], x[:2]).unsqueeze(-1)
    inverse = square.clamp_min(NORM_EPS**2).rsqrt()
    x[0].mul_(inverse[0] * scale[:, None, None, None])
    x[1].mul_(inverse[1])
    return *x, torch.where(square > NORM_EPS**2, inverse, 0)


def _steps(q: Tensor, window: tuple[int, ...]) -> Iterator[tuple[slice, range]]:
    """Heads and window rows of the queries whose logits are computed at a time."""
    n, G, N, _ = q.shape
    h, c = rows_of(window)
    budget = LOGIT_BYTES.get(q.device.type, 2**27) // (G * N * q.element_size())
    heads = min(max(budget // N, 1), n)
    rows = min(max(budget, 32) // c or 1, h)
    for head in range(0, n, heads):
        for row in range(0, h, rows):
            yield slice(head, head + heads), range(row, min(row + rows, h))


def _of(
    x: Tensor,
    heads: slice,
    rows: range | None = None,
    window: tuple[int, ...] | None = None,
) -> Tensor:
    """Tokens of some heads, and of some window rows, ``(m * G, R, d)``; a view."""
    if rows is not None and window is not None:
        _, c = rows_of(window)
        x = x[:, :, rows.start * c : rows.stop * c]
    return x[heads].flatten(0, 1)


def _weights(
    q: Tensor,
    k: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    heads: slice,
    rows: range,
    window: tuple[int, ...],
) -> Tensor:
    """Attention weights of a step, ``(m * G, R, N)``."""
    logits = biased_logits(bias[heads], q.shape[1], rows, window)
    if mask is not None:
        _, c = rows_of(window)
        logits += mask[:, rows.start * c : rows.stop * c]
    logits = logits.flatten(0, 1)
    logits.baddbmm_(_of(q, heads, rows, window), _of(k, heads).mT)
    return torch.ops.aten._softmax.out(logits, -1, False, out=logits)


def _softmax_backward_(grad: Tensor, p: Tensor) -> None:
    torch.ops.aten._softmax_backward_data.out(grad, p, -1, p.dtype, grad_input=grad)


def _unit_length_backward(
    grads: Tensor, q: Tensor, k: Tensor, scale: Tensor, lengths: Tensor
) -> Tensor:
    """Turn gradients of the scaled q and of k into those of plain ones, in place.

    Returns:
        Tensor: Gradient of ``scale``, ``(n,)``.
    """
    s = scale[:, None, None, None]
    along_q = torch.linalg.vecdot(grads[0], q).unsqueeze(-1) / s  # q / s has length 1
    grad_scale = along_q.sum((1, 2, 3))
    grads[0].addcmul_(q, along_q / s, value=-1).mul_(lengths[0] * s)
    along_k = torch.linalg.vecdot(grads[1], k).unsqueeze(-1)
    grads[1].addcmul_(k, along_k, value=-1).mul_(lengths[1])
    return grad_scale.to(scale.dtype)
