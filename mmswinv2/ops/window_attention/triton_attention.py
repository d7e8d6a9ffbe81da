"""Window attention in fused Triton kernels, forward and backward.

The kernels read the plain map ``(B, H, W, 3C)`` and write the plain map: no padded,
rolled or partitioned copy, no mask and no logits ever lie in memory. Gradients are
sums in a fixed order, the same in every run.
"""
# B batch, H W map, h w window, N = h * w tokens, n heads, d head channels, C = n * d

import importlib.util
import os

import torch
from torch import Tensor

from .sdpa import fold_table

HEAD_CHANNELS = (16, 32, 64)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
FMA = {"enable_fp_fusion": True}  # no longer a default in Triton 3.10
SCRATCH_BYTES = 2**26  # of gradients of the bias


def supported(
    qkv: Tensor, table: Tensor, scale: Tensor, window: tuple[int, int], dropout: float
) -> str | None:
    """Why the kernels cannot run on these inputs; None if they can."""
    channels = qkv.shape[-1] // 3 // table.shape[0]
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if not qkv.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return f"it needs a CUDA device, got {qkv.device.type}"
    if qkv.is_cuda and torch.version.hip:
        return "it was never run on ROCm"
    if qkv.is_cuda and torch.cuda.get_device_capability(qkv.device) < (8, 0):
        return "it needs compute capability 8.0 (Ampere) or newer"
    if dropout:
        return "it has no dropout of attention weights"
    if channels not in HEAD_CHANNELS:
        return f"it needs 16, 32 or 64 channels per head, got {channels}"
    if qkv.dtype not in DTYPES:
        return f"it needs fp16, bf16 or fp32, got {qkv.dtype}"
    if qkv[0].numel() >= 2**31:
        return "the map of one image has 2**31 or more numbers"
    return None


def triton_forward(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """See :func:`mmswinv2.ops.window_attention.window_attention`.

    Returns:
        tuple: Output ``(B, H, W, C)`` and, for the backward pass, the log2 of the sum
        of exponentials of every token and head, ``(B, H, W, n)``.
    """
    from .triton_forward_kernel import forward_kernel

    qkv, scale = qkv.contiguous(), scale.float().contiguous()
    B, H, W, _ = qkv.shape
    n = table.shape[0]
    out = qkv.new_empty(B, H, W, qkv.shape[-1] // 3)
    lse = scale.new_empty(B, H, W, n)
    tile = _tile("forward", qkv, n, window)
    programs = _windows(qkv, window) * n * _ceil(window[0] * window[1], tile["M"])
    with torch.cuda.device_of(qkv):
        shifted, bounded = _prepare(table, scale)
        forward_kernel[(programs,)](
            qkv, shifted, bounded, scale, out, lse, B, H, W, *shift,
            HEADS=n, D=out.shape[-1] // n, WH=window[0], WW=window[1], **tile,
        )  # fmt: skip
    return out, lse


def triton_backward(
    grad_out: Tensor,
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
    out: Tensor,
    lse: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, table and scale, from what :func:`triton_forward` returned."""
    from . import triton_backward_kernels as kernels

    table, scale = table.float().contiguous(), scale.float().contiguous()
    grad_out, qkv = grad_out.contiguous(), qkv.contiguous()
    B, H, W, _ = qkv.shape
    n, N = table.shape[0], window[0] * window[1]
    windows = _windows(qkv, window)
    geometry = B, H, W, *shift
    fixed = dict(HEADS=n, D=out.shape[-1] // n, WH=window[0], WW=window[1])
    grad_qkv = torch.empty_like(qkv)
    with torch.cuda.device_of(qkv):
        shifted, _ = _prepare(table, scale)
        tile = _tile("window", qkv, n, window)
        if tile["M"] >= N:
            parts = _parts(windows, n, qkv.device)
            grad_bias = table.new_empty(parts, n, N, N)
            grad_scale = table.new_empty(parts, n)
            kernels.window_kernel[(n, parts)](
                grad_out, qkv, shifted, scale, out, lse,
                grad_qkv, grad_bias, grad_scale, *geometry, **fixed, **tile,
            )  # fmt: skip
            grad_table = fold_table(grad_bias.sum(0), window)
            return grad_qkv, grad_table, grad_scale.sum(0)

        delta = torch.empty_like(lse)
        tile = _tile("query", qkv, n, window)
        grad_scale = table.new_empty(windows, n, _ceil(N, tile["M"]))
        kernels.query_kernel[(grad_scale.numel(),)](
            grad_out, qkv, shifted, scale, out, lse,
            grad_qkv, delta, grad_scale, *geometry, **fixed, **tile,
        )  # fmt: skip
        tile = _tile("key", qkv, n, window)
        kernels.key_kernel[(windows * n * _ceil(N, tile["K"]),)](
            grad_out, qkv, shifted, scale, lse,
            grad_qkv, delta, *geometry, **fixed, **tile,
        )  # fmt: skip
        tile = _tile("bias", qkv, n, window)
        grad_table = torch.empty_like(table)
        # Bias tiles of a few heads at a time: all of them may be larger than the map.
        step = max(min(n, SCRATCH_BYTES // (4 * N * N)), 1)
        for first in range(0, n, step):
            heads = min(step, n - first)
            tiles = heads * _ceil(N, tile["M"]) * _ceil(N, tile["K"])
            parts = _parts(windows, tiles, qkv.device)
            grad_bias = table.new_empty(parts, heads, N, N)
            kernels.bias_kernel[(tiles, parts)](
                grad_out, qkv, shifted, scale, lse, delta, grad_bias,
                first, *geometry, **fixed, **tile,
            )  # fmt: skip
            grad_table[first : first + heads] = fold_table(grad_bias.sum(0), window)
    return grad_qkv, grad_table, grad_scale.sum((0, 2))


def _parts(windows: int, programs: int, device: torch.device) -> int:
    """Programs that share the windows, so that ``programs`` times it fill the GPU."""
    if device.type != "cuda":
        return min(windows, 2)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return min(windows, _ceil(2 * processors, programs))


def _prepare(table: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    from .triton_common import prepare_kernel

    table = table.float().contiguous()
    shifted = torch.empty_like(table)
    bounded = torch.empty(len(table), dtype=torch.int8, device=table.device)
    prepare_kernel[(len(table),)](
        table, scale, shifted, bounded, table[0].numel(), BLOCK=1024, **FMA
    )
    return shifted, bounded


def _windows(qkv: Tensor, window: tuple[int, int]) -> int:
    B, H, W, _ = qkv.shape
    return B * _ceil(H, window[0]) * _ceil(W, window[1])


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _tile(
    kernel: str, qkv: Tensor, heads: int, window: tuple[int, int]
) -> dict[str, int]:
    """Queries M and keys K of a tile of logits, and how the GPU works on it.

    As large as registers allow (benchmarks/attention/compile_kernels.py): the larger,
    the fewer instructions per logit.
    """
    N = window[0] * window[1]
    whole = max(16, 1 << (N - 1).bit_length())  # no more than the window needs
    wide = qkv.element_size() > 2 or qkv.shape[-1] // (3 * heads) > 32
    if kernel == "window":
        size = 0 if wide or whole > 64 else whole
        return dict(M=size, K=size, num_warps=max(size // 16, 1), num_stages=1) | FMA
    rows, columns = (
        (64, 32) if wide else (128, 64)
    )  # a program's, and those it loops over
    if kernel != "forward" and not _is_hopper(qkv.device):
        columns //= 2
    if _ceil(N, rows) * rows > 1.15 * N:
        rows = 64
    if _ceil(N, 32) * 32 < 0.9 * _ceil(N, columns) * columns:
        columns = 32
    rows, columns = min(rows, whole), min(columns, whole)
    stages = 1 if wide or kernel == "bias" else 2
    M, K = (columns, rows) if kernel == "key" else (rows, columns)
    return dict(M=M, K=K, num_warps=rows // 16, num_stages=stages) | FMA


def _is_hopper(device: torch.device) -> bool:
    """Whether matrix products take operands from shared memory, not from registers."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] == 9
