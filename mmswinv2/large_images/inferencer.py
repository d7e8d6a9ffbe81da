"""Inferencers of the hosts that take pictures of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mmengine
import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from PIL import Image

from mmswinv2.drawing import draw_sample
from mmswinv2.pictures import picture_size
from mmswinv2.planning.free_memory import free_memory, pass_bytes

from .grid import Span
from .masks import CroppedMasks
from .tile_pipeline import TilePipeline
from .tiling import (
    LEAST,
    SHRINK,
    Costs,
    OnTile,
    Tiling,
    budget,
    does_not_fit,
    fit,
    is_out_of_memory,
)

if TYPE_CHECKING:  # goes before one
    from mmengine.infer import BaseInferencer as Mixin
else:
    Mixin = object

SIDE = 1024  # px of a tile, where the config names no size
STRIDE = 2 / 3  # of a tile, MMSegmentation's usual one
TILED = "in tiles"  # key of the meta info of what was found in a large picture


def check_tile(tile: Any) -> None:
    """Raises ValueError where it is neither None nor 'auto' nor a length in px."""
    known = tile is None or tile == "auto"
    if not known and not (isinstance(tile, int) and tile >= LEAST):
        raise ValueError(
            f"tile is {tile!r}; expected 'auto', the side of tiles in px "
            f"({LEAST} or more), or None for pictures that are seen whole"
        )


@dataclass(frozen=True)
class LargePicture:
    """A picture that will be cut into tiles."""

    picture: Any


class LargePictures(Mixin):
    """Goes before a host's inferencer among the bases of a class.

    Attributes:
        tile (int | str | None): Side of tiles in px; 'auto' for one that suits model,
            picture and memory; None for pictures that are seen whole.
        most_shrink (float): By what the sides of a picture may be divided at 'auto'.
        on_tile (Callable, optional): Hears how many tiles are done, of how many;
            begins anew where smaller tiles are tried. What it raises ends the picture.
    """

    tile: int | str | None = None
    most_shrink: float = SHRINK
    on_tile: OnTile | None = None

    def set_tile(self, tile: int | str | None) -> None:
        """Chooses how the next pictures are cut, see ``tile``.

        Raises:
            ValueError: It is none of these, or the model draws panoptic maps.
        """
        check_tile(tile)
        if tile is not None and (self.model.test_cfg or {}).get("panoptic_on"):
            raise ValueError(
                "tile: panoptic maps are not joined from tiles; take the model with "
                "model.test_cfg.panoptic_on=False, or tile=None"
            )
        self.tile = tile
        if tile is None or hasattr(self, "tiles"):
            return
        self.tiles = TilePipeline(self.pipeline.pipeline.transforms)
        if self.scope == "mmseg":
            from .segmentor import TiledSegmentor

            self.tiled: Any = TiledSegmentor(self.model, self.tiles)
        else:
            from .detector import TiledDetector

            self.tiled = TiledDetector(self.model, self.tiles, self.pipeline)
        self.device = next(self.model.parameters()).device
        self._costs: Costs | None = None

    def preprocess(
        self, inputs: Sequence, batch_size: int = 1, **kwargs: Any
    ) -> Iterator[Any]:
        """As the host; large pictures come alone."""
        if self.tile is None:
            yield from super().preprocess(inputs, batch_size, **kwargs)
            return
        for large, group in groupby(inputs, self._is_large):
            if not large:
                yield from super().preprocess([*group], batch_size, **kwargs)
                continue
            for picture in group:
                data = LargePicture(picture)
                yield ([picture], data) if self.scope == "mmdet" else data

    @torch.no_grad()
    def forward(self, inputs: Any, **kwargs: Any) -> list[BaseDataElement]:
        """As the host; label maps are of 8 bits where pictures may be large."""
        if isinstance(inputs, LargePicture):
            return [self._in_tiles(inputs.picture)]
        if self.tile is not None and self.scope == "mmseg":
            return self.tiled.whole(inputs)
        return super().forward(inputs, **kwargs)

    def _is_large(self, picture: Any) -> bool:
        size = _size(picture)
        if size is None:
            return False
        if isinstance(self.tile, int):
            return max(size) > self.tile
        side = self._wish().tile
        shrink = self.tiles.shrink(size)
        if max(size) <= side:
            return False
        if shrink > self.most_shrink:
            return True
        room = budget(free_memory(self.device), self.device)
        return self.costs.whole(size, shrink) > room

    def _wish(self) -> Tiling:
        """Tiles as the config has them, or of the side that the user wants."""
        test_cfg = self.model.test_cfg or {}
        side, stride = self.tiles.side or SIDE, STRIDE
        slide: Any = None
        if test_cfg.get("mode") == "slide":
            crop, step = (tuple(test_cfg[key]) for key in ("crop_size", "stride"))
            slide = crop, step
            side, stride = min(crop), min(step) / min(crop)
        if isinstance(self.tile, int):
            side = self.tile
            slide = slide if slide and slide[0] == (side, side) else None
        return Tiling(side, stride, slide=slide)

    @property
    def costs(self) -> Costs:
        """What the model takes, from a pass of a small tile."""
        if self._costs is None:
            side = max(self._wish().tile // 2, LEAST)
            tile = np.zeros((side, side, 3), np.uint8)
            taken = pass_bytes(lambda: self.tiled.run([tile]), self.model)
            self._costs = Costs(taken / side**2, self.tiled.channels, self.tiled.masks)
        return self._costs

    def _in_tiles(self, picture: Any) -> BaseDataElement:
        """What is found in a large picture."""
        given, path = self.pipeline.load(picture)
        pixels = self.tiles.load(given)["img"]
        size = pixels.shape[:2]
        tiling = fit(
            self._wish(),
            size,
            costs=self.costs,
            shrink=self.tiles.shrink(size),
            free=free_memory(self.device),
            device=self.device,
            fixed=self.tile != "auto",
        )
        sample = None
        while sample is None:
            sample = self._try(pixels, tiling)
            if sample is None:
                tiling = self._after(tiling, size)
        meta = dict(ori_shape=size, img_shape=size, img_path=path)
        sample.set_metainfo({**meta, TILED: tiling.tile})
        return sample

    def _try(self, pixels: np.ndarray, tiling: Tiling) -> BaseDataElement | None:
        """What is found, or None where the memory was not enough."""
        height, width = pixels.shape[:2]
        total = self.tiled.count((height, width), tiling)
        at_once = f", {tiling.batch} at a time" * (tiling.batch > 1)
        say(
            f"{width} x {height} px: {total} tiles of {tiling.tile} px at the "
            f"picture's own scale{at_once}"
        )
        try:
            return self.tiled(pixels, tiling, self.on_tile or _nobody)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    @staticmethod
    def _after(tiling: Tiling, size: Span) -> Tiling:
        """Smaller than what did not fit."""
        smaller = tiling.smaller
        if smaller is None:
            raise RuntimeError(does_not_fit(size, tiling))
        say(f"tiles of {tiling.tile} px, {tiling.batch} at a time, did not fit")
        return smaller

    def visualize(
        self, inputs: Sequence, preds: Sequence[BaseDataElement], **kwargs: Any
    ) -> list[np.ndarray] | None:
        """As the host; large pictures are drawn as ``demo/image_demo.py`` has them."""
        if not any(TILED in pred.metainfo for pred in preds):
            return super().visualize(inputs, preds, **kwargs)
        drawn: list[np.ndarray] = []
        for picture, pred in zip(inputs, preds):
            if TILED in pred.metainfo:
                image = self._draw(picture, pred, **kwargs)
                drawn += [] if image is None else [image]
            else:
                drawn += super().visualize([picture], [pred], **kwargs) or []
        return drawn if kwargs.get("return_vis") else None

    def _draw(
        self,
        picture: Any,
        pred: BaseDataElement,
        *,
        return_vis: bool = False,
        img_out_dir: str = "",
        pred_score_thr: float = 0.3,
        no_save_vis: bool = False,
        **_: Any,
    ) -> np.ndarray | None:
        if not return_vis and (no_save_vis or not img_out_dir):
            return None
        given, _ = self.pipeline.load(picture)
        pixels = self.pipeline.drawn_on(self.tiles.load(given)["img"], "")
        meta = self.visualizer.dataset_meta
        drawn = draw_sample(
            pixels, pred, meta, score_thr=pred_score_thr, with_truth=False
        )
        if img_out_dir and not no_save_vis:
            name = f"{self.num_visualized_imgs:08}.jpg"
            if isinstance(picture, str):
                name = Path(picture).name
            folder = Path(img_out_dir) / ("vis" if self.scope == "mmdet" else "")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(folder / name)
        self.num_visualized_imgs += 1
        return drawn

    def pred2dict(self, data_sample: BaseDataElement, pred_out_dir: str = "") -> dict:
        """As MMDetection's; masks are compressed without the whole picture of each."""
        found = data_sample.get("pred_instances")
        masks = None if found is None else found.get("masks")
        if not isinstance(masks, CroppedMasks):
            return super().pred2dict(data_sample, pred_out_dir)
        bare = data_sample.clone()
        del bare.pred_instances.masks
        result = super().pred2dict(bare, "")
        result["masks"] = masks.encoded()
        if pred_out_dir:
            path = data_sample.get("img_path")
            name = Path(path).stem if path else str(self.num_predicted_imgs)
            self.num_predicted_imgs += not path
            mmengine.dump(result, str(Path(pred_out_dir) / "preds" / f"{name}.json"))
        return result


def _nobody(done: int, total: int) -> None:
    """Hears nothing."""


def say(text: str) -> None:
    """Into the log of the run, which is on the console."""
    print_log(text, "current")


def _size(picture: Any) -> Span | None:
    """(H, W) of a picture as :func:`as_host_picture` gives it; None if it is not known.

    Of a file the header is read.
    """
    if isinstance(picture, dict):
        picture = picture.get("img", picture.get("img_path"))
    if isinstance(picture, np.ndarray):
        return picture.shape[:2]
    return picture_size(str(picture))
