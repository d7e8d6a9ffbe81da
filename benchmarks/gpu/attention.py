"""Inputs of the attention operator, and calls of it."""

from __future__ import annotations

import section  # noqa: F401  lets the package be found
import torch
from torch import Tensor

from mmswinv2.ops.window_attention import window_attention

Axes = tuple[int, ...]  # (h, w) or (t, h, w)


def make_inputs(
    batch: int,
    size: Axes,
    heads: int,
    window: Axes,
    dtype: torch.dtype,
    device: str,
    *,
    channels: int = 32,
    largest_scale: float = 50.0,
) -> list[Tensor]:
    """Random qkv, table and scale that require gradients."""
    torch.manual_seed(0)
    qkv = torch.randn(batch, *size, 3 * heads * channels, device=device)
    table = 16 * torch.rand(heads, *(2 * w - 1 for w in window), device=device)
    scale = torch.linspace(largest_scale / 10, largest_scale, heads, device=device)
    return [x.requires_grad_() for x in (qkv.to(dtype), table, scale)]


def call(
    name: str,
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    *,
    window: Axes,
    shift: Axes,
) -> Tensor:
    """The public operator; ``name`` is an implementation."""
    options = dict(window=window, shift=shift, implementation=name)
    return window_attention(qkv, table, scale, **options)


def train(
    name: str, inputs: list[Tensor], window: Axes, shift: Axes, grad: Tensor
) -> list[Tensor]:
    """Output and gradients of qkv, table and scale."""
    out = call(name, *inputs, window=window, shift=shift)
    return [out.detach(), *torch.autograd.grad(out, inputs, grad.to(out.dtype))]
