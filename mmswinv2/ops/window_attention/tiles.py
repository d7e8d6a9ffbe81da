"""What the Triton kernels of a window are: tiles, and how the GPU works on them.

Kernels know sizes at run time, so that these choices alone decide what is compiled: per
dtype at most 16 kernels, whatever the windows are.
"""
# N = h * w places of a window, M queries and K keys of a tile of logits

from functools import lru_cache

import torch

FMA = {"enable_fp_fusion": True}  # no longer a default in Triton 3.10
ONE_TILE = 64  # places of a window whose gradients one kernel gives


@lru_cache(maxsize=1024)
def tile(kernel: str, *, places: int, wide: bool, generation: int) -> dict:
    """Launch options of a kernel.

    Several programs share a processor, so that some work while others wait: a tile has
    64 rows, which 4 warps hold. Rows of 128 take fewer instructions per logit, and 1.5
    to 2.5 times as long on an H200: their 8 warps leave no registers to others.

    Args:
        kernel (str): 'forward', 'window', 'query', 'key' or 'bias'.
        places (int): N.
        wide (bool): See :func:`is_wide`.
        generation (int): See :func:`generation`.

    Returns:
        dict: ``M`` queries and ``K`` keys of a tile, ``WHOLE``, whether the tiles that
        the kernel loops over divide the window, and the compiler's options.
    """
    if kernel == "window":
        options = dict(M=ONE_TILE, K=ONE_TILE, WHOLE=places == ONE_TILE)
        options["RELOAD"] = generation == 8
        return options | dict(num_warps=4, num_stages=1) | FMA
    rows = columns = 64  # a program's, and its loop's
    if wide or kernel == "key" or (kernel != "bias" and places % 64):
        columns = 32
    hopper = generation == 9
    if kernel != "forward" and not hopper and (wide or columns == 64):
        columns //= 2  # operands of products are in registers, not in shared memory
    M, K = (columns, rows) if kernel == "key" else (rows, columns)
    options = dict(M=M, K=K, num_warps=4, num_stages=1)
    if kernel != "bias":
        options["WHOLE"] = places % columns == 0
        if not wide and (columns == 64 or kernel == "key"):
            options["num_stages"] = 2
        if not wide and hopper:
            options["maxnreg"] = 128  # of 160: a fourth program is worth the spills
    return options | FMA


def is_wide(dtype: torch.dtype, channels: int) -> bool:
    """Whether a head's rows fill so many registers that tiles must be small."""
    return dtype.itemsize > 2 or channels > 32


@lru_cache
def generation(device: torch.device) -> int:
    """First part of a GPU's compute capability: 8 Ampere, 9 Hopper; 0 without one."""
    if device.type != "cuda":
        return 0
    return torch.cuda.get_device_capability(device)[0]
