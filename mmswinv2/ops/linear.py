"""Linear layers of feature maps that use the processor's widest instructions."""

import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HAS_ONEDNN = torch.backends.mkldnn.is_available()
SMALL = 20480  # numbers up to which torch has slow convolutions of its own
FEW = 512  # tokens too few to repay the rearrangement of weights that oneDNN needs


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Linear layer of a channels-last map; on CPU in fp32 as a 1 x 1 convolution.

    torch gives fp32 linear layers to MKL and convolutions to oneDNN. MKL leaves AVX-512
    unused on processors not made by Intel, where oneDNN is up to twice as fast; with
    AVX2 it is a little faster in most shapes (see benchmarks/README.md).

    Args:
        x (Tensor): ``(B, H, W, C)``, of videos ``(B, T, H, W, C)``; of other dimensions
            it is a plain linear layer.
        weight (Tensor): ``(D, C)``.
        bias (Tensor, optional): ``(D,)``.

    Returns:
        Tensor: Likewise with D channels, contiguous where ``x`` is.
    """
    if not _as_convolution(x):
        return F.linear(x, weight, bias)
    if x.dim() == 5:  # frames below each other, in one tall map
        return linear(x.flatten(1, 2), weight, bias).unflatten(1, x.shape[1:3])
    return _Convolution.apply(x, weight, bias)


def mkl_is_fast(capability: str, vendor: str, family: int) -> bool:
    """Whether MKL's fp32 products come near the best that a processor can do.

    Args:
        capability (str): As of ``torch.backends.cpu.get_cpu_capability()``.
        vendor (str): As 'GenuineIntel' in /proc/cpuinfo; '' if unknown.
        family (int): As in /proc/cpuinfo: 25 is AMD's Zen 3 and 4, 26 Zen 5.
    """
    # MKL has AVX-512 for Intel alone. Zen 4 takes it in two halves and gains nothing.
    return (
        not capability.startswith("AVX512")
        or vendor == "GenuineIntel"
        or (vendor == "AuthenticAMD" and family <= 25)
    )


def _mkl_is_fast_here() -> bool:
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    vendor = re.search(r"^vendor_id\s*: (.*)", text, re.MULTILINE)
    family = re.search(r"^cpu family\s*: (\d+)", text, re.MULTILINE)
    return mkl_is_fast(
        torch.backends.cpu.get_cpu_capability(),
        vendor[1] if vendor else "",
        int(family[1]) if family else 0,
    )


MKL_IS_FAST = _mkl_is_fast_here()


def _as_convolution(x: Tensor) -> bool:
    return (
        HAS_ONEDNN
        and not is_recorded()
        and x.device.type == "cpu"
        and x.dim() in (4, 5)
        and x.numel() > SMALL
        and (x.shape[:-1].numel() >= FEW or not MKL_IS_FAST)
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")  # 16-bit linear layers are oneDNN's
    )


def is_recorded() -> bool:
    """Whether torch.compile or an exporter sees this, which know plain layers best.

    The compiler would copy the maps that it gives to convolutions.
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The layer by oneDNN.

    With a single thread torch gives 1 x 1 convolutions to MKL after all, unless they
    are dilated, which makes no difference to one tap.
    """
    maps, kernel = x.permute(0, 3, 1, 2), weight[:, :, None, None]
    return F.conv2d(maps, kernel, bias, dilation=2).permute(0, 2, 3, 1)


class _Convolution(torch.autograd.Function):
    """:func:`_convolve` whose gradient of the weight is MKL's where that is as fast.

    It is a product over all tokens, in which oneDNN is the slower one by a tenth, and
    by more the fewer the tokens.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _convolve(x, weight, bias)

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor
    ) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        by_product = for_weight and MKL_IS_FAST
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad.permute(0, 3, 1, 2),
            x.permute(0, 3, 1, 2),
            weight[:, :, None, None],
            bias_sizes=None,
            stride=[1, 1],
            padding=[0, 0],
            dilation=[2, 2],
            transposed=False,
            output_padding=[0, 0],
            groups=1,
            output_mask=[for_x, for_weight and not by_product, False],
        )
        if by_product:
            grad_weight = grad.flatten(0, 2).mT @ x.flatten(0, 2)
        elif for_weight:
            grad_weight = grad_weight[:, :, 0, 0]
        return (
            grad_x.permute(0, 2, 3, 1) if for_x else None,
            grad_weight,
            grad.sum((0, 1, 2)) if for_bias else None,
        )

    @staticmethod
    def jvp(
        ctx: torch.autograd.function.FunctionCtx,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None,
        bias_tangent: Tensor | None,
    ) -> Tensor:
        x, weight = ctx.saved_tensors
        parts = []
        if x_tangent is not None:
            parts.append(_convolve(x_tangent, weight, None))
        if weight_tangent is not None:
            parts.append(_convolve(x, weight_tangent, None))
        if bias_tangent is not None:
            parts.append(bias_tangent.expand(*x.shape[:3], -1))
        return sum(parts)


class Linear(nn.Linear):
    """``nn.Linear`` of a map ``(B, H, W, C)``, see :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` -> ``(B, H, W, D)``."""
        return linear(x, self.weight, self.bias)
