"""LayerNorm whose gradients are sums in fp32."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm``, also right in 16-bit training on a CPU.

    There torch sums the gradients of weight and bias in the dtype of the map: of 10,000
    tokens in bf16, those of the bias are off by a third, of 100,000 by nine tenths. So
    such maps are normalised in fp32; the result is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(..., C)`` -> the same."""
        if not x.is_cpu or x.dtype.itemsize > 2 or not torch.is_grad_enabled():
            return super().forward(x)
        parameters = self.weight, self.bias
        weight, bias = (None if p is None else p.float() for p in parameters)
        y = F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)
        return y.to(x.dtype)
