"""Detectors that see a picture tile by tile."""
# n objects; H W of the picture, in px

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from .grid import Span, batches
from .levels import plan_levels
from .objects import MARGIN, inside, merge, own_nms, place
from .tile_pipeline import TilePipeline
from .tiling import OnTile, Tiling


class TiledDetector:
    """Objects in pictures of any size.

    Args:
        model (nn.Module): MMDetection's.
        pipeline (TilePipeline): Of its tiles.
        whole (Callable): The pipeline of a test, for pictures that are seen whole.
    """

    channels = 0

    def __init__(self, model: Any, pipeline: TilePipeline, whole: Callable) -> None:
        self.model, self.pipeline, self.whole_pipeline = model, pipeline, whole
        cfg = model.test_cfg or {}
        limits = {**cfg, **(cfg.get("rcnn") or {})}
        most = limits.get("max_per_img", limits.get("max_per_image", 100))
        self.masks = most if _makes_masks(model) else 0
        self.nms = own_nms(cfg)

    def run(self, tiles: Sequence[np.ndarray]) -> list[InstanceData]:
        """Objects in tiles."""
        return self._test([self.pipeline(tile) for tile in tiles])

    def _test(self, inputs: Sequence[dict]) -> list[InstanceData]:
        samples = self.model.test_step(pseudo_collate(inputs))
        return [sample.pred_instances for sample in samples]

    def count(self, size: Span, tiling: Tiling) -> int:
        """Tiles of a picture (H, W) and of its smaller copies."""
        levels = plan_levels(size, tiling.tile, self.pipeline.shrink(size))
        return sum(len(level.grid or [None]) for level in levels)

    def __call__(
        self, pixels: np.ndarray, tiling: Tiling, on_tile: OnTile
    ) -> DetDataSample:
        """Objects in a picture (H, W, 3); ``on_tile`` hears of every tile."""
        size = pixels.shape[:2]
        total, done = self.count(size, tiling), 0
        parts: list[InstanceData] = []
        copy = pixels
        for level in plan_levels(size, tiling.tile, self.pipeline.shrink(size)):
            if copy.shape[:2] != level.size:
                copy = cv2.resize(copy, level.size[::-1], interpolation=cv2.INTER_AREA)
            if level.grid is None:
                (found,) = self._test([self.whole_pipeline(copy)])
                parts.append(place(found, size, level=level.size))
                on_tile(total, total)
                break
            for tiles in batches(level.grid, tiling.batch):
                crops = [copy[slice(*rows), slice(*columns)] for rows, columns in tiles]
                for found, tile in zip(self.run(crops), tiles):
                    margin = round(tiling.tile * MARGIN)
                    found = found[inside(found.bboxes, *tile, level.size, margin)]
                    corner = tile[0][0], tile[1][0]
                    parts.append(place(found, size, at=corner, level=level.size))
                done += len(tiles)
                on_tile(done, total)
        return DetDataSample(pred_instances=merge(parts, self.nms))


def _makes_masks(model: Any) -> bool:
    if getattr(model, "with_mask", False):
        return True
    return bool((model.test_cfg or {}).get("instance_on"))
