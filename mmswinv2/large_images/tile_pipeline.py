"""A test pipeline for tiles, which the network sees as large as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import Resize

from .grid import Span


class TilePipeline:
    """The transforms of a test pipeline but for the loader and for those that resize.

    Args:
        transforms (Sequence[Callable]): Of the whole pipeline, the loader first.

    Attributes:
        load (Callable): From a path or pixels to what transforms take.
        resize (Resize | None): The scale at which the model is tested.
    """

    def __init__(self, transforms: Sequence[Callable]) -> None:
        loader, *rest = transforms
        self.load = loader
        self.steps = [step for step in rest if not isinstance(step, Resize)]
        resizes = [step for step in rest if isinstance(step, Resize)]
        self.resize = resizes[0] if resizes and resizes[0].scale else None

    def __call__(self, pixels: np.ndarray) -> dict:
        """Inputs and data sample of a tile (h, w, 3)."""
        size = pixels.shape[:2]
        tile = dict(img=np.ascontiguousarray(pixels), img_shape=size, ori_shape=size)
        tile |= dict(img_path=None, scale=size[::-1], scale_factor=(1.0, 1.0))
        tile |= dict(keep_ratio=True, flip=False)
        for step in self.steps:
            tile = step(tile)
        return tile

    @property
    def side(self) -> int | None:
        """Of a square picture as the network sees it in a test, in px."""
        return min(self.resize.scale) if self.resize else None

    def shrink(self, size: Span) -> float:
        """By what a test divides the sides of a picture (H, W); 1 without Resize."""
        if self.resize is None:
            return 1.0
        scale = self.resize.scale
        if not self.resize.keep_ratio:
            return max(size[0] / scale[1], size[1] / scale[0])
        return max(max(size) / max(scale), min(size) / min(scale))
