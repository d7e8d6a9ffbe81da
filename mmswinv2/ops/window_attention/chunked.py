"""Window attention in pieces that fit into the cache, forward and backward.

The sequential attention of Swin V2 (section 3.5), made exact: the backward pass needs
the inputs only and computes the attention weights again. Tokens are gathered by index,
so nothing is padded, rolled or partitioned; logits exist for a few windows, or for some
query rows of a large window, of one head at a time.
"""
# B batch, H W map, h w window, Y X windows, G windows of a piece, N = h * w tokens,
# R query rows of a piece, n heads, d head channels, C = n * d

from collections.abc import Iterator

import torch
from torch import Tensor

from .sdpa import expand_table, fold_table
from .windows import NORM_EPS, attention_mask, axis_labels

# Bytes of logits at a time: what a core's cache holds, or enough work for a GPU.
LOGIT_BYTES = {"cpu": 2**20, "cuda": 2**27}


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
    out = tokens.new_empty(len(tokens) + 1, tokens.shape[1] // 3)  # one row for padding
    for index, bias in _pieces(qkv, table, window, shift):
        q, k, v, _ = _gather(tokens, index, scale)
        o = torch.empty_like(q)
        for head, rows in _steps(q):
            p = torch.baddbmm(bias[head, rows], q[head][:, rows], k[head].mT)
            torch.bmm(_softmax_(p), v[head], out=o[head][:, rows])
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
    grad_bias = None
    for index, bias in _pieces(qkv, table, window, shift):
        q, k, v, lengths = _gather(tokens, index, scale)
        grad_bias = torch.zeros_like(bias) if grad_bias is None else grad_bias
        real = (index < len(tokens)).flatten()[:, None]
        g = grad_out.index_select(0, index.flatten().clamp_max(len(tokens) - 1)) * real
        g = g.to(q.dtype).unflatten(0, index.shape).unflatten(-1, (len(q), -1))
        g = g.permute(2, 0, 1, 3).contiguous()  # (n, G, N, d)
        grads = torch.zeros(3, *q.shape, dtype=q.dtype, device=q.device)
        grad_q, grad_k, grad_v = grads
        for head, rows in _steps(q):
            p = torch.baddbmm(bias[head, rows], q[head][:, rows], k[head].mT)
            p, g_rows = _softmax_(p), g[head][:, rows]
            grad_v[head].baddbmm_(p.mT, g_rows)
            grad_p = torch.bmm(g_rows, v[head].mT)
            _softmax_backward_(grad_p, p)
            grad_bias[head, rows] += grad_p.sum(0)
            torch.bmm(grad_p, k[head], out=grad_q[head][:, rows])
            grad_k[head].baddbmm_(grad_p.mT, q[head][:, rows])
        grad_scale += _unit_length_backward(grads, q, k, scale, lengths)
        grads = grads.permute(2, 3, 0, 1, 4).flatten(0, 1).flatten(1)  # (G * N, 3C)
        grad_tokens.index_copy_(0, index.flatten(), grads.to(grad_tokens.dtype))
    grad_table = fold_table(grad_bias, window).to(table.dtype)
    return grad_tokens[:-1].view_as(qkv), grad_table, grad_scale


def _pieces(
    qkv: Tensor, table: Tensor, window: tuple[int, int], shift: tuple[int, int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Token index ``(G, N)``, bias and mask ``(n, N, N)`` of windows with one mask."""
    B, H, W, _ = qkv.shape
    dtype = torch.promote_types(qkv.dtype, torch.float32)
    bias = expand_table(table.detach().to(dtype))
    index = token_index((B, H, W), window, shift, qkv.device)  # (B, Y, X, N)
    size = max(LOGIT_BYTES.get(qkv.device.type, 2**27) // bias[0].nbytes, 1)
    groups: dict[tuple, list[tuple[int, int]]] = {}
    for y, labels_y in enumerate(axis_labels(H, window[0], shift[0])):
        for x, labels_x in enumerate(axis_labels(W, window[1], shift[1])):
            groups.setdefault((labels_y, labels_x), []).append((y, x))
    for labels, places in groups.items():
        mask = attention_mask(*labels, like=bias)
        masked = bias if mask is None else bias + mask
        y, x = torch.tensor(places, device=qkv.device).unbind(1)
        for piece in index[:, y, x].flatten(0, 1).split(size):
            yield piece, masked


def token_index(
    size: tuple[int, int, int],
    window: tuple[int, int],
    shift: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Number of the token at every place of every window, ``(B, Y, X, N)``.

    Tokens are counted over the flat ``(B, H, W)``; a padded place has their number.
    """
    B, H, W = size
    axes = []
    for length, w, s in zip((H, W), window, shift):
        padded = length + -length % w
        axes.append((torch.arange(padded, device=device) + s) % padded)
    y, x = axes[0][:, None], axes[1][None, :]
    image = torch.arange(B, device=device)[:, None, None] * (H * W)
    index = torch.where((y < H) & (x < W), image + y * W + x, B * H * W)
    index = index.unflatten(2, (-1, window[1])).unflatten(1, (-1, window[0]))
    return index.transpose(2, 3).flatten(-2)


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


def _steps(q: Tensor) -> Iterator[tuple[int, slice]]:
    """(head, query rows) of every piece of logits."""
    n, G, N, _ = q.shape
    budget = LOGIT_BYTES.get(q.device.type, 2**27)
    rows = min(max(budget // (G * N * q.element_size()), 32), N)
    for head in range(n):
        for start in range(0, N, rows):
            yield head, slice(start, start + rows)


def _softmax_(logits: Tensor) -> Tensor:
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
