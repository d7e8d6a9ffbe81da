"""MixToken: a box of each picture's tokens is another picture's."""
# B pictures, H W px or tokens of stage 0, h w cells of 8 x 8 of these, C channels

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmswinv2.models.blocks import PATCH_SIZE

CELL = 8  # tokens of stage 0 along a side of one of stage 3
STRIDE = CELL * PATCH_SIZE  # px


def draw_box(size: tuple[int, int]) -> np.ndarray:
    """A box of cells anywhere, of a uniform share of the area, cut by borders.

    Its sides are rounded to cells. Published is Beta(1, 1), which is uniform.

    Args:
        size (tuple[int, int]): (h, w) of the grid.

    Returns:
        ndarray: Bool ``(h, w)``, True inside.
    """
    share = np.sqrt(np.random.rand())
    inside = np.ones(size, bool)
    for axis, length in enumerate(size):
        side = round(length * share)
        start = np.random.randint(length) - side // 2
        places = np.arange(length)
        kept = (places >= start) & (places < start + side)
        inside &= np.expand_dims(kept, 1 - axis)
    return inside


def grid_of(images: Tensor) -> tuple[int, int]:
    """(h, w) of stage 3 over images ``(B, 3, H, W)``; a last cell may be cut.

    Token t of stage 0 is merged into cell t // 8.
    """
    return -(-images.shape[2] // STRIDE), -(-images.shape[3] // STRIDE)


def mix(tokens: Tensor, inside: Tensor) -> Tensor:
    """Swaps cells with those of the batch in reverse; twice is the identity.

    Args:
        tokens (Tensor): ``(B, H, W, C)`` of stage 0, or ``(B, h, w, C)`` of stage 3.
        inside (Tensor): Bool ``(h, w)``, the cells to swap.
    """
    if tokens.shape[1:3] != inside.shape:
        inside = inside.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
        inside = inside[: tokens.shape[1], : tokens.shape[2]]
    return torch.where(inside[..., None], tokens.flip(0), tokens)
