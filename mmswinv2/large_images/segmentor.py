"""Segmentors that see a picture tile by tile."""
# B tiles of a batch, C channels of scores; H W of the picture, h w of a tile, in px

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement, PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from .grid import Grid, Span, batches
from .labels import label_dtype, slide
from .tile_pipeline import TilePipeline
from .tiling import OnTile, Tiling, is_wide

AT_ONCE = 2**25  # scores, of the channels that are brought to the size of a picture


class TiledSegmentor:
    """Labels of pictures of any size.

    Args:
        model (nn.Module): MMSegmentation's.
        pipeline (TilePipeline): Of its tiles.
    """

    def __init__(self, model: Any, pipeline: TilePipeline) -> None:
        self.model, self.pipeline = model, pipeline
        self.channels = model.out_channels
        self.masks = 0
        classes = max(model.num_classes, model.out_channels)
        self.dtype = label_dtype(classes)

    def run(self, tiles: Sequence[np.ndarray]) -> Tensor:
        """Scores ``(B, C, h, w)`` of tiles of one size."""
        data = pseudo_collate([self.pipeline(tile) for tile in tiles])
        data = self.model.data_preprocessor(data, False)
        size = data["inputs"].shape[2:]
        metas = [
            dict(sample.metainfo, img_shape=size, pad_shape=size)
            for sample in data["data_samples"]
        ]
        scores = self.model.encode_decode(data["inputs"], metas)
        return scores[..., : tiles[0].shape[0], : tiles[0].shape[1]]

    def count(self, size: Span, tiling: Tiling) -> int:
        """Tiles of a picture (H, W)."""
        return len(tiling.grid(size))

    def __call__(
        self, pixels: np.ndarray, tiling: Tiling, on_tile: OnTile
    ) -> SegDataSample:
        """Labels of a picture (H, W, 3); ``on_tile`` hears of every tile."""
        grid = tiling.grid(pixels.shape[:2])
        wide = is_wide(grid.size)
        if wide:
            grid, pixels = grid.transposed, pixels.swapaxes(0, 1)
        scores = self._scores(pixels, grid, tiling.batch, on_tile, wide)
        labels = slide(scores, grid, self.decide, self.dtype)
        return self._sample(np.ascontiguousarray(labels.T) if wide else labels)

    def _scores(
        self, pixels: np.ndarray, grid: Grid, batch: int, on_tile: OnTile, wide: bool
    ) -> Iterator[Tensor]:
        done = 0
        for tiles in batches(grid, batch):
            crops = [pixels[slice(*rows), slice(*columns)] for rows, columns in tiles]
            if wide:
                crops = [crop.swapaxes(0, 1) for crop in crops]
            scores = self.run(crops)
            done += len(tiles)
            on_tile(done, len(grid))
            yield from scores.transpose(2, 3) if wide else scores

    def decide(self, scores: Tensor) -> Tensor:
        """Labels (h, w) from scores (C, h, w), as ``postprocess_result`` has them."""
        if len(scores) > 1:
            labels = scores.argmax(0)
        else:
            labels = scores[0].sigmoid() > self.model.decode_head.threshold
        return labels.to(torch.uint8 if self.dtype == np.uint8 else torch.int32)

    def whole(self, data: dict) -> list[SegDataSample]:
        """Labels of pictures that the network sees whole, some channels at a time.

        They are those of ``test_step``, which takes the scores of all channels at the
        size of the picture.
        """
        data = self.model.data_preprocessor(data, False)
        given = data["data_samples"]
        scores = self.model.inference(data["inputs"], [x.metainfo for x in given])
        return [
            self._sample(self._largest(scores[i : i + 1], sample.metainfo), sample)
            for i, sample in enumerate(given)
        ]

    def _largest(self, scores: Tensor, meta: dict) -> np.ndarray:
        best: Any = None
        labels: Any = None
        first = 0
        channels, (height, width) = scores.shape[1], meta["ori_shape"][:2]
        parts = ceil(channels * height * width / AT_ONCE)
        # Of a single channel the host makes probabilities
        for part in scores.tensor_split(max(min(parts, channels // 2), 1), dim=1):
            sample = SegDataSample(metainfo=meta)
            (sample,) = self.model.postprocess_result(part, [sample])
            if scores.shape[1] == 1:
                return sample.pred_sem_seg.data[0].to(torch.uint8).cpu().numpy()
            value, index = sample.seg_logits.data.max(0)
            index = index.to(torch.int32) + first
            if best is None:
                best, labels = value, index.to(torch.int32)
            else:
                larger = value > best
                best[larger], labels[larger] = value[larger], index[larger]
            first += part.shape[1]
        return labels.cpu().numpy().astype(self.dtype)

    def _sample(
        self, labels: np.ndarray, given: BaseDataElement | None = None
    ) -> SegDataSample:
        sample = SegDataSample(metainfo=given.metainfo if given else {})
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
        return sample
