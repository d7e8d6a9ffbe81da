"""Loaded models, a few at a time, and what a pass may change of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
from mmengine.config import Config

from mmswinv2.apis import build_inferencer, find_config
from mmswinv2.cli import console
from mmswinv2.config_types import read_config
from mmswinv2.large_images.tiling import SHRINK
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.window_fit import Window
from mmswinv2.planning.free_memory import pass_bytes

from .choices import Choice, predicts_pictures

KEPT = 2  # models in memory
MEASURED = 512  # px, of the picture whose memory is measured
# What resizes pictures in the pipelines of the hosts, and what it is told.
RESIZERS = {"Resize": "scale", "ResizeEdge": "scale", "CenterCrop": "crop_size"}


class LoadedModel:
    """A model for several people, one pass at a time.

    Args:
        choice (Choice): Its files.
        device (str, optional): Defaults to the first accelerator, else the CPU.
        tile (int | str, optional): See :func:`build_inferencer`; of models that take
            tiles. Defaults to 'auto'.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: As :func:`build_inferencer`, or if
            it is none of pictures.
    """

    def __init__(
        self,
        choice: Choice,
        device: str | None = None,
        tile: int | str | None = "auto",
    ) -> None:
        cfg = read_config(find_config(choice.config))
        if not predicts_pictures(cfg):
            kind = (cfg.get("model") or {}).get("type")
            raise ValueError(
                f"{choice.config} has the model {kind}, which finds nothing in "
                "pictures; give a detector, a segmentor or a classifier"
            )
        tile = tile if _takes_tiles(cfg) else None
        with console.short_console():
            self.inferencer = build_inferencer(cfg, choice.weights, device, tile)
        self.choice = choice
        self.lock = threading.Lock()
        self.meta: Mapping = self.inferencer.visualizer.dataset_meta
        self.device = next(self.inferencer.model.parameters()).device
        self.finds_objects = cfg.default_scope == "mmdet"
        self.names_pictures = cfg.default_scope == "mmpretrain"
        backbones = (
            module
            for module in self.inferencer.model.modules()
            if isinstance(module, SwinTransformerV2)
        )
        self.backbone: Any = next(backbones, None)
        # its own; those of now may be somebody's who waits for a pass
        self.windows = self.backbone.window_size if self.backbone else ()
        steps = self.inferencer.pipeline.pipeline.transforms
        named = [(step, RESIZERS.get(type(step).__name__)) for step in steps]
        self._resizers = [
            (step, name, getattr(step, name))
            for step, name in named
            if name and getattr(step, name)
        ]

    @property
    def short_side(self) -> int | None:
        """Of pictures as the network sees them, in px; None where it cannot change."""
        if not self._resizers:
            return None
        scale = self._resizers[-1][2]
        return scale if isinstance(scale, int) else min(scale)

    @cached_property
    def bytes_per_px(self) -> float:
        """Memory of a pass, about, by px that the network sees."""
        tile = np.zeros((MEASURED, MEASURED, 3), np.uint8)
        run = partial(self.inferencer.tiled.run, [tile])
        return pass_bytes(run, self.inferencer.model) / MEASURED**2

    @contextmanager
    def at(
        self, short_side: int | None, windows: Sequence[Window] | None
    ) -> Iterator[None]:
        """While it lasts, the model is the caller's, at this scale and these windows.

        Args:
            short_side (int, optional): In px. None: the config's own.
            windows (Sequence[tuple[int, int]], optional): Of every stage, in tokens.
                None: the config's own.
        """
        with self.lock:
            try:
                if windows is not None:
                    self.backbone.set_window_size(windows)
                own = self.short_side
                if short_side is not None and own is not None:
                    factor = short_side / own
                    for step, name, scale in self._resizers:
                        setattr(step, name, _scaled(scale, factor))
                    # what is cut at the config's scale is cut at all, nothing else
                    self.inferencer.most_shrink = SHRINK / factor
                yield
            finally:
                self.inferencer.most_shrink = SHRINK
                for step, name, scale in self._resizers:
                    setattr(step, name, scale)
                if windows is not None:
                    self.backbone.set_window_size(self.windows)


def _takes_tiles(cfg: Config) -> bool:
    """Classifiers see the whole of what they name; panoptic maps are not joined."""
    test_cfg = cfg.model.get("test_cfg") or {}
    return cfg.default_scope != "mmpretrain" and not test_cfg.get("panoptic_on")


def _scaled(scale: int | Sequence[int], factor: float) -> int | tuple[int, ...]:
    if isinstance(scale, int):
        return max(1, round(scale * factor))
    return tuple(max(1, round(side * factor)) for side in scale)


class Models:
    """The models of a page.

    Args:
        find (Callable): Gives what there is, each with a name of its own.
        **options (object): ``device`` and ``tile``, see :class:`LoadedModel`.
    """

    def __init__(self, find: Callable[[], Sequence[Choice]], **options: Any) -> None:
        self.find, self.options = find, options
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """What there is to choose from now."""
        return [choice.name for choice in self.find()]

    def get(self, name: str) -> LoadedModel:
        """A model by the name of its choice, loaded if it is not yet.

        Raises:
            ValueError: There is no such choice.
            FileNotFoundError, ValueError, RuntimeError: See :class:`LoadedModel`.
        """
        with self._lock:  # who comes second waits and finds it loaded
            if name not in self._loaded:
                choices = {choice.name: choice for choice in self.find()}
                if name not in choices:
                    raise ValueError(f"{name} is no longer there; reload the page")
                while len(self._loaded) >= KEPT:
                    self._loaded.popitem(last=False)
                self._loaded[name] = LoadedModel(choices[name], **self.options)
            self._loaded.move_to_end(name)
            return self._loaded[name]
