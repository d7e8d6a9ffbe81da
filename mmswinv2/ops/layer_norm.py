"""LayerNorm whose gradients are sums in fp32."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import has_torch_function_unary

from .kept import is_watched


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm``, also right in 16-bit training on a CPU.

    There torch sums the gradients of weight and bias in the dtype of the map: of 10,000
    tokens in bf16, those of the bias are off by a third, of 100,000 by nine tenths.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(..., C)`` -> the same."""
        low = x.is_cpu and x.dtype.itemsize < 4 and torch.is_grad_enabled()
        if not low or self.bias is None or is_watched() or has_torch_function_unary(x):
            return super().forward(x)
        return _LayerNorm.apply(x, self.weight, self.bias, self.eps)


class _LayerNorm(torch.autograd.Function):
    """Keeps what torch's keeps: the map in its dtype and two numbers per token."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        y, *numbers = torch.native_layer_norm(x, weight.shape, weight, bias, eps)
        ctx.save_for_backward(x, *numbers, weight, bias)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *numbers, weight, bias = ctx.saved_tensors
        grads = torch.ops.aten.native_layer_norm_backward(
            *(grad.float(), x.float(), weight.shape),
            *(kept.float() for kept in (*numbers, weight, bias)),
            ctx.needs_input_grad[:3],
        )
        pairs = zip(grads, (x, weight, bias))
        return *(g if g is None else g.to(of.dtype) for g, of in pairs), None
