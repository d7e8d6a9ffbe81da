"""Window attention in pieces that fit into the cache, forward and backward.

The sequential attention of Swin V2 (section 3.5), made exact: the backward pass needs
the inputs only and computes the attention weights again. Tokens are gathered by index,
so nothing is padded, rolled or partitioned; logits exist for a few windows, or for some
query rows of a large window, of one head at a time.
"""
# B batch, H W map, h w window, Y X windows, G windows of a piece, N = h * w tokens,
# R query rows of a step, n heads, m heads of a step, d head channels, C = n * d

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from .sdpa import expand_table, fold_table
from .windows import MASK_VALUE, NORM_EPS

# Bytes of a piece's tokens and of a step's logits: what a core's cache holds, or enough
# work for a GPU.
TOKEN_BYTES = {"cpu": 2**22, "cuda": 2**28}
LOGIT_BYTES = {"cpu": 2**21, "cuda": 2**27}


def chunked_forward(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
) -> Tensor:
    """See :func:`mmswinv2.ops.window_attention.window_attention`."""
    B, H, W, _ = qkv.shape
    tokens = qkv.flatten(0, 2)
    bias = _bias(qkv, table)
    out = tokens.new_empty(len(tokens) + 1, tokens.shape[1] // 3)  # one row for padding
    for index, mask in _pieces(qkv, window, shift):
        q, k, v, _ = _gather(tokens, index, scale)
        o = torch.empty_like(q)
        for heads, rows in _steps(q):
            p = _weights(q, k, bias, mask, heads, rows)
            own = o[heads, :, rows]
            own.copy_((p @ v[heads].flatten(0, 1)).view_as(own))
        o = o.permute(1, 2, 0, 3).flatten(0, 1).flatten(1)  # (G * N, C)
        out.index_copy_(0, index.flatten(), o.to(out.dtype))
    return out[:-1].view(B, H, W, -1)


def chunked_backward(
    grad_out: Tensor,
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, table and scale; deterministic."""
    tokens = qkv.flatten(0, 2)
    grad_tokens = tokens.new_empty(len(tokens) + 1, tokens.shape[1])
    grad_out = grad_out.flatten(0, 2)
    grad_scale = torch.zeros_like(scale)
    bias = _bias(qkv, table)
    grad_bias = torch.zeros_like(bias)
    for index, mask in _pieces(qkv, window, shift):
        q, k, v, inverse = _gather(tokens, index, scale)
        g = grad_out.index_select(0, index.flatten().clamp_max(len(tokens) - 1))
        if mask is not None:
            g = g * (index < len(tokens)).flatten()[:, None]  # nothing from padding
        g = g.unflatten(0, index.shape).unflatten(-1, (len(q), -1))
        g = g.permute(2, 0, 1, 3).to(q.dtype, memory_format=torch.contiguous_format)
        grads = torch.zeros(3, *q.shape, dtype=q.dtype, device=q.device)
        for heads, rows in _steps(q):
            p = _weights(q, k, bias, mask, heads, rows)
            q_rows, g_rows = (x[heads, :, rows].flatten(0, 1) for x in (q, g))
            grad_k, grad_v = (x[heads].flatten(0, 1) for x in grads[1:])  # views
            grad_v.baddbmm_(p.mT, g_rows)
            grad_p = g_rows @ v[heads].flatten(0, 1).mT
            _softmax_backward_(grad_p, p)
            grad_bias[heads, rows] += grad_p.unflatten(0, (-1, q.shape[1])).sum(1)
            own = grads[0, heads, :, rows]
            own.copy_((grad_p @ k[heads].flatten(0, 1)).view_as(own))
            grad_k.baddbmm_(grad_p.mT, q_rows)
        grad_scale += _unit_length_backward(grads, q, k, scale, inverse)
        grads = grads.permute(2, 3, 0, 1, 4).flatten(0, 1).flatten(1)  # (G * N, 3C)
        grad_tokens.index_copy_(0, index.flatten(), grads.to(grad_tokens.dtype))
    grad_table = fold_table(grad_bias, window).to(table.dtype)
    return grad_tokens[:-1].view_as(qkv), grad_table, grad_scale


def _bias(qkv: Tensor, table: Tensor) -> Tensor:
    return expand_table(table.to(torch.promote_types(qkv.dtype, torch.float32)))


def _pieces(
    qkv: Tensor, window: tuple[int, int], shift: tuple[int, int]
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Token index ``(G, N)`` and mask ``(G, N, N)``, None where all is seen."""
    B, H, W, channels = qkv.shape
    dtype = torch.promote_types(qkv.dtype, torch.float32)
    index, region = _places((B, H, W), window, shift, qkv.device)  # (B, Y, X, N)
    token_bytes = index.shape[-1] * channels * dtype.itemsize
    size = max(TOKEN_BYTES.get(qkv.device.type, 2**28) // token_bytes, 1)
    # Windows before the first padded or wrapped token see all of themselves.
    whole = torch.zeros(index.shape[1:3], dtype=torch.bool)
    whole[: (H - shift[0]) // window[0], : (W - shift[1]) // window[1]] = True
    if not whole.all() and index[..., 0].numel() <= size:
        whole[:] = False  # few windows: one piece rather than two
    for group in (whole, ~whole):
        numbers, regions = (x[:, group].flatten(0, 1) for x in (index, region))
        for piece, own in zip(numbers.split(size), regions.split(size)):
            if len(piece):
                yield piece, None if group is whole else _mask(own, dtype)


@lru_cache(maxsize=32)  # the stages of a model, shifted or not, of some image sizes
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
        wrapped.append(rolled >= len(rolled))
        tokens.append(rolled % len(rolled))
    y, x = tokens[0][:, None], tokens[1]
    real = (y < H) & (x < W)
    image = torch.arange(B, device=device)[:, None, None] * (H * W)
    index = torch.where(real, image + y * W + x, B * H * W)
    region = torch.where(real, 2 * wrapped[0][:, None] + wrapped[1].long(), -1)
    return tuple(
        part.unflatten(2, (-1, window[1]))
        .unflatten(1, (-1, window[0]))
        .transpose(2, 3)
        .flatten(-2)
        for part in (index, region.expand_as(index))
    )


def _mask(region: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask ``(G, N, N)`` of windows whose tokens have these regions."""
    seen = (region[:, :, None] == region[:, None, :]) & (region >= 0)[:, None, :]
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, MASK_VALUE)


def _gather(
    tokens: Tensor, index: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scaled q, k, v, ``(n, G, N, d)``, and 1 / length of q and k, 0 for none."""
    x = tokens.index_select(0, index.flatten().clamp_max(len(tokens) - 1))
    x = x.unflatten(0, index.shape).unflatten(-1, (3, len(scale), -1))
    dtype = torch.promote_types(tokens.dtype, torch.float32)
    x = x.permute(2, 3, 0, 1, 4).to(dtype, memory_format=torch.contiguous_format)
    square = torch.linalg.vecdot(x[:2], x[:2]).unsqueeze(-1)
    inverse = square.clamp_min(NORM_EPS**2).rsqrt()
    x[0].mul_(inverse[0] * scale[:, None, None, None])
    x[1].mul_(inverse[1])
    return *x, torch.where(square > NORM_EPS**2, inverse, 0)


def _steps(q: Tensor) -> Iterator[tuple[slice, slice]]:
    """Heads and query rows whose logits are computed at a time."""
    n, G, N, _ = q.shape
    budget = LOGIT_BYTES.get(q.device.type, 2**27) // (G * N * q.element_size())
    heads = min(max(budget // N, 1), n)
    rows = min(max(budget, 32), N)
    for head in range(0, n, heads):
        for row in range(0, N, rows):
            yield slice(head, head + heads), slice(row, row + rows)


def _weights(
    q: Tensor,
    k: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    heads: slice,
    rows: slice,
) -> Tensor:
    """Attention weights of a step, ``(m * G, R, N)``."""
    logits = bias[heads, None, rows].expand(-1, q.shape[1], -1, -1)
    if mask is None:
        logits = logits.clone(memory_format=torch.contiguous_format)
    else:
        logits = logits + mask[:, rows]
    logits = logits.flatten(0, 1)
    logits.baddbmm_(q[heads, :, rows].flatten(0, 1), k[heads].flatten(0, 1).mT)
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
    grads[0].sub_(q * (along_q / s)).mul_(lengths[0] * s)
    along_k = torch.linalg.vecdot(grads[1], k).unsqueeze(-1)
    grads[1].sub_(k * along_k).mul_(lengths[1])
    return grad_scale.to(scale.dtype)
