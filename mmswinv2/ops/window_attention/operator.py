"""Attention as autograd and compilers see it: one node, with a gradient of its own.

Eager autograd takes a Python function, whose host time is a fraction of an operator's;
where something else watches (``torch.compile``, ``torch.export``, ``vmap``, fake
tensors, policies of checkpointing) it is the operator ``mmswinv2::window_attention``.

Kept for the backward pass: qkv, table, scale and, of 'triton', the output and a number
per row. 'sdpa' is a forward pass by SDPA with the backward pass of 'chunked'.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..kept import is_watched
from .chunked import chunked_backward, chunked_forward
from .sdpa import sdpa_window_attention
from .triton_attention import (
    Prepared,
    keep_prepared,
    prepare,
    triton_backward,
    triton_forward,
)

Axes = tuple[int, ...]  # (h, w) or (t, h, w)


def attend(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: Axes,
    shift: Axes,
    implementation: str,
    frozen: bool = False,
) -> Tensor:
    """Attention by 'chunked', 'triton' or 'sdpa' as it is, with gradients.

    Arguments are those of :func:`mmswinv2.ops.window_attention.window_attention`.
    """
    args = (qkv, table, scale, window, shift, implementation)
    if is_watched():
        return window_attention_operator(*args)[0]
    if torch.is_grad_enabled() and any(x.requires_grad for x in args[:3]):
        return _Attention.apply(*args)
    if frozen and implementation == "triton":
        return triton_forward(qkv, keep_prepared(table, scale), window, shift)[0]
    return _forward(*args)[0]


def _forward(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: Axes,
    shift: Axes,
    implementation: str,
) -> tuple[Tensor, Tensor]:
    """Output and, of 'triton', numbers per row; else an empty tensor."""
    if implementation == "triton":
        return triton_forward(qkv, prepare(table, scale), window, shift)
    if implementation == "sdpa":
        out = sdpa_window_attention(qkv, table, scale, window, shift, 0.0)
    else:
        out = chunked_forward(qkv, table, scale, window, shift)
    return out, scale.new_empty(0)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        table: Tensor,
        scale: Tensor,
        window: Axes,
        shift: Axes,
        implementation: str,
    ) -> Tensor:
        ctx.options = window, shift, implementation
        ctx.dtypes = qkv.dtype, table.dtype, scale.dtype
        if implementation == "triton":
            prepared = prepare(table, scale)
            out, rows = triton_forward(qkv, prepared, window, shift)
            ctx.save_for_backward(qkv, *prepared, out, rows)
        else:
            out, _ = _forward(qkv, table, scale, window, shift, implementation)
            ctx.save_for_backward(qkv, table, scale)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        window, shift, implementation = ctx.options
        wanted = ctx.needs_input_grad[:3]
        grads: Sequence[Tensor | None]
        if implementation == "triton":
            qkv, *prepared, out, rows = ctx.saved_tensors
            grads = triton_backward(
                grad_out, qkv, Prepared(*prepared), window, shift, out, rows, wanted
            )
        else:
            qkv, table, scale = ctx.saved_tensors
            with torch.autocast(qkv.device.type, enabled=False):
                grads = chunked_backward(grad_out, qkv, table, scale, window, shift)
        of_inputs = (
            grad.to(dtype) if grad is not None and wants else None
            for grad, dtype, wants in zip(grads, ctx.dtypes, wanted)
        )
        return *of_inputs, None, None, None


@torch.library.custom_op("mmswinv2::window_attention", mutates_args=())
def window_attention_operator(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: list[int],
    shift: list[int],
    implementation: str,
) -> tuple[Tensor, Tensor]:
    """Attention output ``(B, *map, C)``, and what the backward pass needs beside it."""
    return _forward(qkv, table, scale, tuple(window), tuple(shift), implementation)


@window_attention_operator.register_fake
def _(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: list[int],
    shift: list[int],
    implementation: str,
) -> tuple[Tensor, Tensor]:
    *size, C = qkv.shape
    rows = (*size, table.shape[0]) if implementation == "triton" else (0,)
    dtype = torch.float32 if implementation == "triton" else scale.dtype
    return qkv.new_empty(*size, C // 3), scale.new_empty(rows, dtype=dtype)


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
    geometry = tuple(window), tuple(shift)
    if implementation == "triton":
        prepared = prepare(table, scale)
        grads: Any = triton_backward(grad_out, qkv, prepared, *geometry, out, rows)
    else:
        with torch.autocast(qkv.device.type, enabled=False):
            grads = chunked_backward(grad_out, qkv, table, scale, *geometry)
    pairs = zip(grads, (qkv, table, scale))
    of_qkv, of_table, of_scale = (grad.to(x.dtype) for grad, x in pairs)
    return of_qkv, of_table, of_scale


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
    return (
        qkv.new_empty(qkv.shape),
        table.new_empty(table.shape),
        scale.new_empty(scale.shape),
    )


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    qkv, table, scale, *ctx.options = inputs
    ctx.save_for_backward(qkv, table, scale, *output)


def _backward(
    ctx: Any, grad_out: Tensor, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    grads = window_attention_backward_operator(
        grad_out, *ctx.saved_tensors, *ctx.options
    )
    return *grads, None, None, None


window_attention_operator.register_autograd(_backward, setup_context=_keep)
