"""Which patches of a picture SimMIM hides."""

from __future__ import annotations

import math

import numpy as np
from mmcv.transforms import BaseTransform

from mmswinv2.models.blocks import PATCH_SIZE
from mmswinv2.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomPatchMask(BaseTransform):
    """Masks squares of a picture at random (SimMIM, section 3.2, arXiv 2111.09886).

    Comes after all transforms that change the picture's size. Adds ``mask`` ``(height /
    4, width / 4)``, a number per token of the backbone, 1 where it is masked.

    Args:
        mask_patch_size (int): Side of a square in px, a multiple of 4. Defaults to 32.
        mask_ratio (float): Share of squares that are masked, rounded up. Defaults to
            0.6.

    Raises:
        ValueError: If a number is out of range, or a picture is no multiple of the
            squares.
    """

    def __init__(self, mask_patch_size: int = 32, mask_ratio: float = 0.6) -> None:
        if mask_patch_size <= 0 or mask_patch_size % PATCH_SIZE:
            raise ValueError(
                f"mask_patch_size={mask_patch_size}: expected a multiple of "
                f"{PATCH_SIZE} px, the backbone's patches"
            )
        if not 0 < mask_ratio <= 1:
            raise ValueError(
                f"mask_ratio={mask_ratio}: expected a share above 0 and up to 1"
            )
        self.mask_patch_size = mask_patch_size
        self.mask_ratio = mask_ratio

    def transform(self, results: dict) -> dict:
        """Add the mask of one picture."""
        height, width = results["img"].shape[:2]
        size = self.mask_patch_size
        if height % size or width % size:
            raise ValueError(
                f"mask_patch_size={size} does not divide a picture of {width} x "
                f"{height} px; choose a multiple of it in the transform before, such "
                f"as {max(size, round(height / size) * size)} px"
            )
        rows, columns = height // size, width // size
        masked = np.zeros(rows * columns, np.uint8)
        count = math.ceil(self.mask_ratio * len(masked))
        masked[np.random.permutation(len(masked))[:count]] = 1
        tokens = np.ones((size // PATCH_SIZE,) * 2, np.uint8)
        results["mask"] = np.kron(masked.reshape(rows, columns), tokens)
        return results
