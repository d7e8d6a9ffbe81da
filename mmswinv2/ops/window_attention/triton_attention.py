"""Window attention in fused Triton kernels, forward and backward.

The kernels read the plain map ``(B, H, W, 3C)`` or ``(B, T, H, W, 3C)`` and write the
plain map: no padded, rolled or partitioned copy, no mask and no logits ever lie in
memory, but gradients of the bias of a few heads. Gradients are sums in a fixed order,
the same in every run.
"""
# B batch, T H W map, N tokens of a window, n heads, d head channels, C = n * d

import math
import weakref
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ..kept import may_keep, served
from .tiles import FMA, ONE_TILE, generation, is_wide, tile

HEAD_CHANNELS = (16, 32, 64)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SCRATCH_BYTES = 2**26  # of gradients of the bias
Axes = tuple[int, ...]  # (h, w) or (t, h, w)


class Prepared(NamedTuple):
    """What the kernels read in place of table and scale, fp32.

    Attributes:
        table (Tensor): Bias less a constant of its head, see :func:`prepare_kernel`.
        bounded (Tensor): ``(n,)``, whether logits of a head have no need of their
            maximum.
        scale (Tensor): ``(n,)``.
    """

    table: Tensor
    bounded: Tensor
    scale: Tensor


def prepare(table: Tensor, scale: Tensor) -> Prepared:
    """Prepare a table of offsets, ``(n, ...)``, and ``scale``, ``(n,)``."""
    from .triton_common import prepare_kernel

    table, scale = table.float().contiguous(), scale.float().contiguous()
    shifted = torch.empty_like(table)
    bounded = torch.empty(len(table), dtype=torch.int8, device=table.device)
    # One program per head: offsets of a clip are ten times as many.
    block = dict(BLOCK=1024) if table.dim() == 3 else dict(BLOCK=8192, num_warps=16)
    with _on(table):
        prepare_kernel[(len(table),)](
            table, scale, shifted, bounded, table[0].numel(), **block, **FMA
        )
    return Prepared(shifted, bounded, scale)


_kept = WeakIdKeyDictionary()  # table -> scale, what they were prepared to


def keep_prepared(table: Tensor, scale: Tensor) -> Prepared:
    """As :func:`prepare`, once for tensors that nobody changes."""
    kept = _kept.get(table)
    if kept is not None and kept[0]() is scale:
        return served(kept[1])
    result = prepare(table, scale)
    if may_keep():
        _kept[table] = weakref.ref(scale), result
    return result


def triton_forward(
    qkv: Tensor, prepared: Prepared, window: Axes, shift: Axes
) -> tuple[Tensor, Tensor]:
    """See :func:`mmswinv2.ops.window_attention.window_attention`.

    Args:
        qkv (Tensor): ``(B, *map, 3C)``.
        prepared (Prepared): Of the table and the scale.
        window (tuple[int, ...]): In tokens.
        shift (tuple[int, ...]): In tokens.

    Returns:
        tuple: Output ``(B, *map, C)`` and, for the backward pass, the log2 of the sum
        of exponentials of every token and head, ``(B, *map, n)``, fp32.
    """
    from .triton_forward_kernel import forward_kernel

    qkv = qkv.contiguous()
    *size, C3 = qkv.shape
    table, bounded, scale = prepared
    n = len(scale)
    out = qkv.new_empty(*size, C3 // 3)
    lse = scale.new_empty(*size, n)
    N, windows, sizes = _geometry(tuple(size), n, window, shift)
    d = C3 // 3 // n
    options = _tile("forward", N, qkv.dtype, d, qkv.device)
    with _on(qkv):
        forward_kernel[(windows * n * _ceil(N, options["M"]),)](
            qkv, table, bounded, scale, out, lse, *sizes, D=d, **options
        )
    return out, lse


def triton_backward(
    grad_out: Tensor,
    qkv: Tensor,
    prepared: Prepared,
    window: Axes,
    shift: Axes,
    out: Tensor,
    lse: Tensor,
    wanted: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Gradients of qkv, table and scale, from what :func:`triton_forward` returned.

    Args:
        grad_out (Tensor): ``(B, *map, C)``.
        qkv (Tensor): As in the forward pass, and so are the next three.
        prepared (Prepared): Of the table and the scale.
        window (tuple[int, ...]): In tokens.
        shift (tuple[int, ...]): In tokens.
        out (Tensor): ``(B, *map, C)``.
        lse (Tensor): ``(B, *map, n)``.
        wanted (tuple[bool, bool, bool]): Which gradients are computed; of the others
            nothing is to be used. Defaults to all.

    Returns:
        tuple: In the shapes of what they are gradients of; those of table and scale
        in fp32.
    """
    from . import triton_backward_kernels as kernels
    from .triton_bias_kernels import bias_kernel

    grad_out, qkv = grad_out.contiguous(), qkv.contiguous()
    *size, C3 = qkv.shape
    table, _, scale = prepared
    n = len(scale)
    N, windows, sizes = _geometry(tuple(size), n, window, shift)
    d = C3 // 3 // n

    def options(kernel: str) -> dict:
        return _tile(kernel, N, qkv.dtype, d, qkv.device)

    grad_qkv = torch.empty_like(qkv)
    with _on(qkv):
        if N <= ONE_TILE and not is_wide(qkv.dtype, d):
            parts = _parts(windows, n, qkv.device, 2)
            grad_bias = table.new_empty(parts, n, N, N)
            grad_scale = table.new_empty(parts, n)
            kernels.window_kernel[(n, parts)](
                grad_out, qkv, table, scale, out, lse, grad_qkv, grad_bias, grad_scale,
                *sizes, D=d, **options("window"),
            )  # fmt: skip
            grad_table = _fold(grad_bias, window) if wanted[1] else None
            return grad_qkv, grad_table, grad_scale.sum(0)

        delta = torch.empty_like(lse)
        query = options("query")
        tiles = _ceil(N, query["M"])
        grad_scale = table.new_empty(windows, n, tiles)
        kernels.query_kernel[(windows * n * tiles,)](
            grad_out, qkv, table, scale, out, lse, grad_qkv, delta, grad_scale,
            *sizes, D=d, **query,
        )  # fmt: skip
        if wanted[0]:
            key = options("key")
            kernels.key_kernel[(windows * n * _ceil(N, key["K"]),)](
                grad_out, qkv, table, scale, lse, grad_qkv, delta,
                *sizes, D=d, **key,
            )  # fmt: skip
        grad_table = None
        if wanted[1]:
            grad_table = torch.empty_like(table)
            bias = options("bias")
            tiles = _ceil(N, bias["M"]) * _ceil(N, bias["K"])
            # Of a few heads at a time: tiles of all of them may be larger than the map.
            # Of one at least: 81 MiB where a window has 8 x 24 x 24 places.
            step = max(min(n, SCRATCH_BYTES // (4 * N * N)), 1)
            for first in range(0, n, step):
                heads = min(step, n - first)
                parts = _parts(windows, heads * tiles, qkv.device, 3)
                grad_bias = table.new_empty(parts, heads, N, N)
                bias_kernel[(heads * tiles, parts)](
                    grad_out, qkv, table, scale, lse, delta, grad_bias,
                    first, *sizes, D=d, **bias,
                )  # fmt: skip
                grad_table[first : first + heads] = _fold(grad_bias, window)
    return grad_qkv, grad_table, grad_scale.sum((0, 2))


def _fold(grad_bias: Tensor, window: Axes) -> Tensor:
    """Gradient of the table from parts of that of the bias, ``(parts, n, N, N)``."""
    from .triton_bias_kernels import fold_kernel

    grad_bias = grad_bias.sum(0) if len(grad_bias) > 1 else grad_bias[0]
    *rows, columns = (2 * w - 1 for w in window)
    grad_table = grad_bias.new_empty(len(grad_bias), *rows, columns)
    grid = math.prod(rows), len(grad_bias), _ceil(columns, 32)
    WT, WH, WW = window if len(window) == 3 else (1, *window)
    fold_kernel[grid](grad_bias, grad_table, WT, WH, WW, X=64, DX=32, num_warps=4)
    return grad_table


@lru_cache(maxsize=1024)
def _geometry(
    size: Axes, n: int, window: Axes, shift: Axes
) -> tuple[int, int, tuple[int | None, ...]]:
    """N, windows of a batch ``(B, *map)``, and the sizes that all kernels take."""
    B, *axes = size
    windows = B * math.prod(map(_ceil, axes, window))
    per_row, per_frame = _ceil(2**30, window[-1]), _ceil(2**30, window[-2])
    sizes: tuple[int | None, ...]
    if len(window) == 3:
        sizes = n, B, *axes, *shift, *window, per_row, per_frame
    else:
        sizes = n, B, None, *axes, None, *shift, None, *window, per_row, None
    return math.prod(window), windows, sizes


@lru_cache(maxsize=1024)
def _tile(
    kernel: str, places: int, dtype: torch.dtype, channels: int, device: torch.device
) -> dict:
    _log_compilation(str(device))
    wide = is_wide(dtype, channels)
    return tile(kernel, places=places, wide=wide, generation=generation(device))


@cache
def _log_compilation(device: str) -> None:
    print_log(
        f"Window attention on {device}: Triton compiles each of its kernels when it is "
        "first needed, some seconds each and at most 16 per dtype, and keeps them in "
        "its cache folder for later runs",
        logger="current",
    )


@lru_cache(maxsize=1024)
def _parts(windows: int, programs: int, device: torch.device, each: int) -> int:
    """Programs that share the windows: with ``programs`` some ``each`` a processor."""
    if device.type != "cuda":
        return min(windows, 2)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return min(windows, _ceil(each * processors, programs))


def _on(x: Tensor) -> AbstractContextManager:
    """Triton launches on the current device."""
    if x.is_cuda and x.device.index != torch.cuda.current_device():
        return torch.cuda.device_of(x)
    return nullcontext()


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
