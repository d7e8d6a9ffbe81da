"""The operator as torch sees it: one node with a shape rule and a gradient.

For ``torch.compile``, ``torch.export``, FSDP and checkpointing policies. What is kept
for the backward pass: qkv, table, scale, the output and, of 'triton', numbers per row.
"""

import warnings
from functools import cache

import torch
from torch import Tensor

from .chunked import chunked_backward, chunked_forward
from .sdpa import sdpa_window_attention
from .triton_attention import supported, triton_backward, triton_forward


@torch.library.custom_op("mmswinv2::window_attention", mutates_args=())
def window_attention_operator(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: list[int],
    shift: list[int],
    implementation: str,
) -> tuple[Tensor, Tensor]:
    """Attention output ``(B, H, W, C)``, and what the backward pass needs beside it."""
    args = (qkv, table, scale, tuple(window), tuple(shift))
    if implementation == "chunked":
        return chunked_forward(*args), scale.new_empty(0)
    if _runs_triton(qkv, table, scale, window):
        return triton_forward(*args)
    out = sdpa_window_attention(*args, dropout=0.0).contiguous()
    return out, scale.new_zeros(*out.shape[:3], len(table))


@window_attention_operator.register_fake
def _(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: list[int],
    shift: list[int],
    implementation: str,
) -> tuple[Tensor, Tensor]:
    B, H, W, C = qkv.shape
    rows = (0,) if implementation == "chunked" else (B, H, W, table.shape[0])
    return qkv.new_empty(B, H, W, C // 3), scale.new_empty(rows)


@torch.library.custom_op("mmswinv2::window_attention_backward", mutates_args=())
def window_attention_backward_operator(
    grad_out: Tensor,
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    out: Tensor,
    rows: Tensor,
    window: list[int],
    shift: list[int],
    implementation: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, table and scale."""
    args = (grad_out, qkv, table, scale, tuple(window), tuple(shift))
    if implementation == "triton" and _runs_triton(qkv, table, scale, window):
        return triton_backward(*args, out, rows)
    return chunked_backward(*args)


def _runs_triton(qkv: Tensor, table: Tensor, scale: Tensor, window: list[int]) -> bool:
    reason = supported(qkv, table, scale, tuple(window), 0.0)
    if reason:
        _warn_once(reason)
    return reason is None


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"window attention by 'triton' is not possible here: {reason}. 'sdpa' runs "
        "instead, with a backward pass in pieces",
        stacklevel=2,
    )


@window_attention_backward_operator.register_fake
def _(
    grad_out: Tensor,
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    out: Tensor,
    rows: Tensor,
    window: list[int],
    shift: list[int],
    implementation: str,
) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(x.new_empty(x.shape) for x in (qkv, table, scale))


def _keep(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: tuple
) -> None:
    qkv, table, scale, *ctx.options = inputs
    ctx.save_for_backward(qkv, table, scale, *output)


def _backward(
    ctx: torch.autograd.function.FunctionCtx, grad_out: Tensor, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    grads = window_attention_backward_operator(
        grad_out, *ctx.saved_tensors, *ctx.options
    )
    return *grads, None, None, None


window_attention_operator.register_autograd(_backward, setup_context=_keep)


def attend(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
    implementation: str,
) -> Tensor:
    """Attention by 'chunked' or 'triton' as it is, with gradients."""
    args = (qkv, table, scale, [*window], [*shift], implementation)
    return window_attention_operator(*args)[0]
