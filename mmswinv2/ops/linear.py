"""Linear layers of feature maps that use the processor's widest instructions."""

import functools
import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HAS_ONEDNN = torch.backends.mkldnn.is_available()
SMALL = 20480  # numbers up to which torch has slow convolutions of its own
FEW = 512  # tokens too few to repay the rearrangement of weights that oneDNN needs

PIECE_BYTES = 2**22  # hidden tokens of an MLP per thread of a CPU, what its cache holds
PIECE_TOKENS = 512  # at least: every piece reads, and oneDNN rearranges, all weights


def tokens_at_a_time(token_bytes: int) -> int:
    """Tokens of a piece that stays in the cache."""
    return max(PIECE_BYTES * torch.get_num_threads() // token_bytes, PIECE_TOKENS)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False
) -> Tensor:
    """Linear layer of a channels-last map; on CPU in fp32 as a 1 x 1 convolution.

    torch gives fp32 linear layers to MKL and convolutions to oneDNN. MKL leaves AVX-512
    unused on processors not made by Intel, where oneDNN is up to twice as fast; with
    AVX2 it is a little faster in most shapes (see benchmarks/README.md).

    Args:
        x (Tensor): ``(B, H, W, C)``, of videos ``(B, T, H, W, C)``; of other dimensions
            it is a plain linear layer.
        weight (Tensor): ``(D, C)``.
        bias (Tensor, optional): ``(D,)``.
        gelu (bool): Take ``F.gelu(x)``. On CPU it goes through in pieces that stay in
            the cache, and again in the backward pass, for which ``x`` alone is kept.
            Defaults to False.

    Returns:
        Tensor: Likewise with D channels, contiguous where ``x`` is.
    """
    convolved = _as_convolution(x)
    if convolved and x.dim() == 5:  # frames below each other, in one tall map
        tall = linear(x.flatten(1, 2), weight, bias, gelu=gelu)
        return tall.unflatten(1, x.shape[1:3])
    if convolved or (gelu and _is_plain(x)):
        return _Linear.apply(x, weight, bias, gelu)
    return F.linear(F.gelu(x) if gelu else x, weight, bias)


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


def _is_plain(x: Tensor) -> bool:
    """Whether nobody but eager autograd sees a map on CPU, in its own precision."""
    return (
        x.device.type == "cpu"
        and not is_recorded()
        and not torch.is_autocast_enabled("cpu")  # 16-bit linear layers are oneDNN's
    )


def _as_convolution(x: Tensor) -> bool:
    return (
        HAS_ONEDNN
        and _is_plain(x)
        and x.dim() in (4, 5)
        and x.numel() > SMALL
        and (x.shape[:-1].numel() >= FEW or not MKL_IS_FAST)
        and x.dtype == torch.float32
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


class _Linear(torch.autograd.Function):
    """:func:`linear` of a map on CPU, by oneDNN where that is faster."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
        layer = _convolve if _as_convolution(x) else F.linear
        if not gelu:
            return layer(x, weight, bias)
        rows = tokens_at_a_time(x.shape[-1] * x.element_size())
        pieces = [layer(F.gelu(p), weight, bias) for p in _tokens(x).split(rows, 2)]
        out = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)
        return out.reshape(*x.shape[:-1], -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, weight, _, ctx.gelu = inputs
        ctx.convolved = _as_convolution(x)
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        how = weight, ctx.gelu, ctx.convolved, for_x, for_weight
        rows = tokens_at_a_time(x.shape[-1] * x.element_size())
        # Gradients of gradients follow operators, and they are not in place.
        if not ctx.gelu or torch.is_grad_enabled() or x[..., 0].numel() <= rows:
            grad_x, grad_weight = _gradients(grad, x, *how, None)
        else:
            grad_x, grad_weight = _gradients_in_pieces(grad, x, rows, *how)
        grad_bias = grad.flatten(0, -2).sum(0) if for_bias else None
        return grad_x, grad_weight, grad_bias, None

    @staticmethod
    def jvp(
        ctx: Any,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None,
        bias_tangent: Tensor | None,
        _: None,
    ) -> Tensor:
        x, weight = ctx.saved_tensors
        layer = _convolve if ctx.convolved else F.linear
        parts = []
        if x_tangent is not None:
            along = _times_slope(x_tangent, x) if ctx.gelu else x_tangent
            parts.append(layer(along, weight, None))
        if weight_tangent is not None:
            parts.append(layer(F.gelu(x) if ctx.gelu else x, weight_tangent, None))
        if bias_tangent is not None:
            parts.append(bias_tangent.expand(*x.shape[:-1], -1))
        return functools.reduce(torch.add, parts)


def _gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    gelu: bool,
    convolved: bool,
    for_x: bool,
    for_weight: bool,
    out: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a map, in ``out`` if that is given, and of the weight.

    The latter is MKL's where that is as fast. It is a product over all tokens, in which
    oneDNN is the slower one by a tenth, and by more the fewer the tokens.
    """
    given = F.gelu(x) if gelu and for_weight else x
    by_product = for_weight and (MKL_IS_FAST or not convolved)
    if convolved:
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad.permute(0, 3, 1, 2),
            given.permute(0, 3, 1, 2),
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
        grad_x = grad_x.permute(0, 2, 3, 1) if for_x else None
        grad_weight = None if grad_weight is None else grad_weight[:, :, 0, 0]
    else:
        grad_x, grad_weight = grad @ weight if for_x else None, None
    if by_product:
        grad_weight = grad.flatten(0, -2).mT @ given.flatten(0, -2)
    if gelu and grad_x is not None:
        grad_x = _times_slope(grad_x, x, out)
    return grad_x, grad_weight


def _gradients_in_pieces(
    grad: Tensor,
    x: Tensor,
    rows: int,
    weight: Tensor,
    gelu: bool,
    convolved: bool,
    for_x: bool,
    for_weight: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """:func:`_gradients` whose other maps stay in the cache."""
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grad_weight = None
    how = weight, gelu, convolved, for_x, for_weight
    pieces = (_tokens(map_).split(rows, 2) for map_ in (grad, x, grad_x))
    for grad_piece, piece, out in zip(*pieces):
        _, of_weight = _gradients(grad_piece, piece, *how, out)
        if of_weight is not None:
            if grad_weight is None:
                grad_weight = of_weight
            else:
                grad_weight += of_weight
    return grad_x if for_x else None, grad_weight


def _tokens(x: Tensor) -> Tensor:
    """A map with all tokens in one row, ``(1, 1, tokens, C)``."""
    return x.reshape(1, 1, -1, x.shape[-1])


def _times_slope(grad: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """A gradient, or a tangent, times the slope of GELU."""
    if out is None:
        return torch.ops.aten.gelu_backward(grad, x)
    return torch.ops.aten.gelu_backward.grad_input(grad, x, grad_input=out)


class Linear(nn.Linear):
    """``nn.Linear`` of a map ``(B, H, W, C)``, see :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` -> ``(B, H, W, D)``."""
        return linear(x, self.weight, self.bias)
