"""MixToken: a box of each picture's tokens is another picture's."""
# B pictures, H W map in tokens of stage 0, h w cells of 8 x 8 of them, C channels

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmswinv2.models.blocks import PATCH_SIZE

CELL = 8  # tokens of stage 0 along a side of one of stage 3
STRIDE = CELL * PATCH_SIZE  # px


def draw_box(size: tuple[int, int], alpha: float = 1.0) -> np.ndarray:
    """A box of cells anywhere, of an area as Beta(alpha, alpha) has it, cut by borders.

    Its sides are rounded to cells.

    Args:
        size (tuple[int, int]): (h, w) of the grid.
        alpha (float): Defaults to 1: uniform, as published.

    Returns:
        ndarray: Bool ``(h, w)``, True inside.
    """
    share = np.sqrt(1 - np.random.beta(alpha, alpha))
    inside = np.ones(size, bool)
    for axis, length in enumerate(size):
        side = round(length * share)
        start = np.random.randint(length) - side // 2
        places = np.arange(length)
        kept = (places >= start) & (places < start + side)
        inside &= np.expand_dims(kept, 1 - axis)
    return inside


def grid_of(tokens: Tensor) -> tuple[int, int]:
    """(h, w) of the coarsest grid over tokens ``(B, H, W, C)``; a last cell may be cut.

    Token t of stage 0 is merged into cell t // 8.
    """
    return -(-tokens.shape[1] // CELL), -(-tokens.shape[2] // CELL)


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
