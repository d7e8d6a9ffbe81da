"""Adaptive average pooling of maps whose sizes may be symbols."""
# B batch, C channels, H W map, h w pooled map

import torch
from torch import Tensor, nn

from mmswinv2.ops.window_attention.gathered import number


class AveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two products with small matrices made of ranges.

    Exporters know adaptive pooling only where the pooled size divides that of the map.

    Args:
        output_size (int | tuple): As of ``nn.AdaptiveAvgPool2d``; None keeps an axis.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` -> ``(B, C, h, w)``."""
        h, w = self.output_size
        if h is not None:
            x = averages(x.shape[2], h, x) @ x
        if w is not None:
            x = x @ averages(x.shape[3], w, x).mT
        return x


def averages(size: int, bins: int, like: Tensor) -> Tensor:
    """Weights of every position in every bin, ``(bins, size)``, in the dtype of a map.

    Bin i reaches from ``floor(i * size / bins)`` to ``ceil((i + 1) * size / bins)``.
    """
    position = torch.arange(size, device=like.device)
    bin_ = torch.arange(bins, device=like.device)[:, None]
    start, stop = (
        bin_ * number(size) // bins,
        ((bin_ + 1) * number(size) + bins - 1) // bins,
    )
    inside = (position >= start) & (position < stop)
    return (inside.to(like.dtype) / (stop - start).to(like.dtype)).to(like.dtype)
