"""The check by which the Triton kernels prove themselves on a device."""

import torch
from torch import Tensor

from ..self_check.compare import require_near
from .operator import attend
from .reference import reference_window_attention

Axes = tuple[int, ...]
Case = tuple[Axes, Axes, Axes, int]  # map, window, shift, heads
# Padded and shifted along all axes, so that each map has windows inside and at all
# borders.
CASES: list[Case] = [
    ((13, 12), (8, 8), (4, 4), 3),  # a tile
    ((19, 15), (12, 10), (6, 5), 2),  # several tiles, the last of them not full
]
# On a GPU also those for which other tiles are compiled; the interpreter is too slow.
GPU_CASES: list[Case] = [
    ((11, 10), (7, 7), (3, 3), 3),
    ((19, 18), (12, 12), (6, 6), 2),
    ((25, 24), (16, 16), (8, 8), 2),
]
GRADIENTS = [f"gradient of {name}" for name in ("q", "k", "v", "the bias", "the scale")]
QUANTITIES = ["output", *GRADIENTS]
CLIPS: list[Case] = [
    ((3, 7, 7), (2, 4, 4), (1, 2, 2), 2),  # a tile
    ((3, 5, 5), (2, 6, 6), (1, 3, 3), 1),  # several, borders alone
]
GPU_CLIPS: list[Case] = [
    ((7, 7, 7), (4, 4, 4), (2, 2, 2), 3),
    ((7, 8, 9), (4, 5, 6), (2, 2, 3), 2),
    ((5, 10, 13), (3, 6, 8), (1, 3, 4), 2),
    ((7, 13, 13), (4, 8, 8), (2, 4, 4), 2),
]
# About three times what rounding alone gives (3e-3 in fp16, eight times that in bf16);
# in fp32, where that is 2e-6, enough for a GPU's products of three TF32 parts.
ALLOWED = {torch.float16: 1e-2, torch.bfloat16: 7e-2, torch.float32: 5e-4}


def check(device: torch.device, dtype: torch.dtype, channels: int) -> None:
    """Compare output and gradients of small maps of images with the fp64 reference.

    Args:
        device (torch.device): Where the kernels run.
        dtype (torch.dtype): Of queries, keys and values.
        channels (int): Of a head.

    Raises:
        RuntimeError: If a quantity is wrong; says which and by how much.
    """
    _check(CASES + GPU_CASES * (device.type == "cuda"), device, dtype, channels)


def check_clips(device: torch.device, dtype: torch.dtype, channels: int) -> None:
    """As :func:`check`, of clips, whose kernels are compiled for three axes."""
    _check(CLIPS + GPU_CLIPS * (device.type == "cuda"), device, dtype, channels)


def _check(
    cases: list[Case], device: torch.device, dtype: torch.dtype, channels: int
) -> None:
    for size, window, shift, heads in cases:
        inputs = _make_inputs(size, window, heads, dtype, channels)
        *leaves, grad = (x.double() for x in inputs)
        exact = _run_reference(leaves, grad, window, shift)
        *leaves, grad = (x.to(device) for x in inputs)
        results = _run_triton(leaves, grad, window, shift)
        dtypes = 4 * [dtype] + 2 * [torch.float32]
        for name, result, reference, kind in zip(QUANTITIES, results, exact, dtypes):
            require_near(f"the {name}", result, reference, kind, ALLOWED[dtype])


def _make_inputs(
    size: Axes,
    window: Axes,
    heads: int,
    dtype: torch.dtype,
    channels: int,
) -> list[Tensor]:
    """qkv, table, scale and gradient of the output, on the CPU."""
    random = torch.Generator().manual_seed(0)  # the user's seed stays as it is
    q, k, v, grad = torch.randn(4, 2, *size, heads * channels, generator=random)
    # Where values go with keys, and their gradients with queries, no sum is nearly 0.
    qkv = torch.cat((q, k, v + k), dim=-1)
    offsets = heads, *(2 * w - 1 for w in window)
    table = 16 * torch.rand(offsets, generator=random)
    # The first head's logits are bounded well, the last one's are not.
    return [qkv.to(dtype), table, torch.linspace(5, 50, heads), (grad + q).to(dtype)]


def _run_triton(
    leaves: list[Tensor], grad: Tensor, window: Axes, shift: Axes
) -> list[Tensor]:
    qkv, table, scale = leaves = [x.requires_grad_() for x in leaves]
    out = attend(qkv, table, scale, window, shift, "triton")
    return _all(out, torch.autograd.grad(out, leaves, grad))


def _run_reference(
    leaves: list[Tensor], grad: Tensor, window: Axes, shift: Axes
) -> list[Tensor]:
    qkv, table, scale = leaves = [x.requires_grad_() for x in leaves]
    out = reference_window_attention(qkv, table, scale, window, shift, 0.0)
    return _all(out, torch.autograd.grad(out, leaves, grad))


def _all(out: Tensor, grads: tuple[Tensor, ...]) -> list[Tensor]:
    """Output and gradients of q, k, v, table and scale."""
    return [out.detach(), *grads[0].chunk(3, -1), *grads[1:]]
