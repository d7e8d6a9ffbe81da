"""Res-post-norm in one fused Triton kernel forward and one backward.

``x + keep * LayerNorm(branch)`` and its copy in the precision of the next matrix
product: every map is read once and written once. Gradients are sums in a fixed order,
the same in every run.
"""
# B batch, H W map in tokens, C channels, T = B * H * W tokens

import functools
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

MAX_CHANNELS = 8192  # whole tokens lie in registers


def residual_norm(
    x: Tensor,
    branch: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    keep: Tensor | None = None,
    low_dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Res-post-norm (Swin V2, section 3.2): ``x + keep * LayerNorm(branch)``.

    Statistics and sums are fp32 whatever the inputs are. What the kernels need is said
    by :func:`.choice.unsupported`.

    Args:
        x (Tensor): Main branch ``(B, H, W, C)``; fp16, bf16 or fp32.
        branch (Tensor): Output of a branch ``(B, H, W, C)``; any of these dtypes.
        weight (Tensor): ``(C,)``.
        bias (Tensor): ``(C,)``.
        eps (float): Added to the variance.
        keep (Tensor, optional): Factor of every sample's branch, B numbers without
            gradient; 0 where stochastic depth drops it.
        low_dtype (torch.dtype, optional): Precision of the next matrix product.

    Returns:
        tuple: The sum ``(B, H, W, C)`` in the dtype of ``x``, and the same in
        ``low_dtype``: the sum itself where that is None or the dtype of ``x``.

    Raises:
        NotImplementedError: In forward-mode differentiation.
        ValueError: If the shapes do not fit.
    """
    C = x.shape[-1]
    fits = x.shape == branch.shape and weight.shape == bias.shape == (C,)
    if not fits or (keep is not None and keep.numel() != len(x)):
        given = (
            tuple(t.shape) for t in (x, branch, weight, bias, keep) if t is not None
        )
        raise ValueError(
            "expected x and branch (B, H, W, C), weight and bias (C,) and keep (B,), "
            f"got {', '.join(map(str, given))}"
        )
    if low_dtype == x.dtype:
        low_dtype = None
    args = x, branch, weight, bias, eps, keep, low_dtype
    with_grad = torch.is_grad_enabled() and any(t.requires_grad for t in args[:4])
    if with_grad or forward_ad._current_level >= 0:
        y, low = _ResidualNorm.apply(*args)
    else:
        y, low, _ = _forward(*args, with_stats=False)
    return y, y if low is None else low


class _ResidualNorm(torch.autograd.Function):
    """Keeps the branch as it was given and two numbers per token."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor | None]:
        """See :func:`residual_norm`; no second output where it would be the first."""
        x, branch, weight, bias, _, keep, _ = args
        ctx.set_materialize_grads(False)
        ctx.x_dtype, ctx.bias_dtype = x.dtype, bias.dtype
        # The gradient of x alone needs nothing of the forward pass.
        ctx.saves = any(ctx.needs_input_grad[1:4])
        y, low, stats = _forward(*args, with_stats=ctx.saves)
        if ctx.saves:
            ctx.save_for_backward(branch, weight, stats, keep)
        return y, low

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_low: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Gradients in the dtypes of the inputs."""
        given = [grad for grad in (grad_y, grad_low) if grad is not None]
        if not given:
            return (None,) * 7
        if ctx.saves:
            grads = _backward(ctx, grad_y, grad_low, *ctx.saved_tensors)
            return *grads, None, None, None
        grad_x = functools.reduce(torch.add, (grad.to(ctx.x_dtype) for grad in given))
        return grad_x, *(None,) * 6

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> None:
        """There is none."""
        raise NotImplementedError(
            "the fused residual norm has no forward-mode derivative; set "
            "MMSWINV2_RESIDUAL_NORM=plain"
        )


def _forward(
    x: Tensor,
    branch: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    keep: Tensor | None,
    low_dtype: torch.dtype | None,
    *,
    with_stats: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sum, its copy, and the mean and 1 / deviation of every token, ``(2, T)``."""
    x, branch = x.contiguous(), branch.contiguous()
    C = x.shape[-1]
    tokens = x.numel() // max(C, 1)
    y = torch.empty_like(x)
    low = None if low_dtype is None else torch.empty_like(x, dtype=low_dtype)
    stats = x.new_empty(2, tokens, dtype=torch.float32) if with_stats else None
    if tokens:
        rows, block, warps = _tile(C)
        with _on(x.device):
            _kernels().forward_kernel[(-(-tokens // rows),)](
                x, branch, weight.contiguous(), bias.contiguous(),
                None if keep is None else keep.contiguous(), y, low, stats,
                tokens, tokens // len(x), C, eps,
                R=rows, BLOCK=block, num_warps=warps, enable_fp_fusion=True,
            )  # fmt: skip
    return y, low, stats


def _backward(
    ctx: Any,
    grad_y: Tensor | None,
    grad_low: Tensor | None,
    branch: Tensor,
    weight: Tensor,
    stats: Tensor,
    keep: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Gradients of x, branch, weight and bias, where they are wanted."""
    for_x, for_branch, for_weight, for_bias = ctx.needs_input_grad[:4]
    C, tokens = branch.shape[-1], stats.shape[1]
    branch = branch.contiguous()
    grad_x = grad_y if for_x else None
    if for_x and grad_low is not None:
        grad_x = torch.empty_like(branch, dtype=ctx.x_dtype)
    grad_branch = torch.empty_like(branch) if for_branch else None
    rows, block, warps = _tile(C)
    programs = min(-(-tokens // rows), _most_programs(branch.device, warps))
    parts = stats.new_empty(programs, 2, C) if for_weight or for_bias else None
    if tokens:
        with _on(branch.device):
            _kernels().backward_kernel[(programs,)](
                None if grad_y is None else grad_y.contiguous(),
                None if grad_low is None else grad_low.contiguous(),
                branch, weight.contiguous(),
                None if keep is None else keep.contiguous(), stats,
                None if grad_x is grad_y else grad_x, grad_branch, parts,
                tokens, tokens // len(branch), C,
                R=rows, BLOCK=block, num_warps=warps, enable_fp_fusion=True,
            )  # fmt: skip
    if parts is None:
        return grad_x, grad_branch, None, None
    grad_weight, grad_bias = parts.sum(0)
    return (
        grad_x,
        grad_branch,
        grad_weight.to(weight.dtype) if for_weight else None,
        grad_bias.to(ctx.bias_dtype) if for_bias else None,
    )


@functools.cache
def _kernels() -> ModuleType:
    from . import kernels

    return kernels


@functools.cache
def _tile(channels: int) -> tuple[int, int, int]:
    """Tokens of a tile, channels with padding, and warps that work on it.

    A thread holds 8 numbers, 16 bytes of a 16-bit map.
    """
    block = max(16, 1 << (channels - 1).bit_length())
    return max(1024 // block, 1), block, max(block // 256, 4)


@functools.cache
def _most_programs(device: torch.device, warps: int) -> int:
    """Programs that share the tokens in the backward pass: 16 warps per processor."""
    if device.type != "cuda":
        return 2
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return processors * max(16 // warps, 1)


def _on(device: torch.device) -> AbstractContextManager:
    """Kernels start on the current device."""
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(device)
