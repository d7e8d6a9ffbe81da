"""Linear layers of feature maps that use the processor's widest instructions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HAS_ONEDNN = torch.backends.mkldnn.is_available()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Linear layer of a channels-last map; on CPU in fp32 as a 1 x 1 convolution.

    torch gives fp32 linear layers to MKL, which leaves AVX-512 unused on processors
    not made by Intel, and convolutions to oneDNN, which uses it everywhere: twice as
    fast on an AMD EPYC (see benchmarks/README.md).

    Args:
        x (Tensor): ``(B, H, W, C)``; of other dimensions it is a plain linear layer.
        weight (Tensor): ``(D, C)``.
        bias (Tensor, optional): ``(D,)``.

    Returns:
        Tensor: ``(B, H, W, D)``, contiguous where ``x`` is.
    """
    if not _as_convolution(x):
        return F.linear(x, weight, bias)
    return F.conv2d(x.permute(0, 3, 1, 2), weight[:, :, None, None], bias).permute(
        0, 2, 3, 1
    )


def _as_convolution(x: Tensor) -> bool:
    return (
        HAS_ONEDNN
        and x.device.type == "cpu"
        and x.dim() == 4
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")  # 16-bit linear layers are oneDNN's
        and not is_recorded()
    )


def is_recorded() -> bool:
    """Whether torch.compile or an exporter sees this, which know plain layers best.

    The compiler would copy the maps that it gives to convolutions.
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


class Linear(nn.Linear):
    """``nn.Linear`` of a map ``(B, H, W, C)``, see :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` -> ``(B, H, W, D)``."""
        return linear(x, self.weight, self.bias)
