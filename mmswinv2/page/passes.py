"""One pass of a picture through a model, at a scale and windows, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from rich.filesize import decimal

from mmswinv2.errors import RunError
from mmswinv2.inferencers import predict
from mmswinv2.large_images.tiling import is_out_of_memory
from mmswinv2.models.window_fit import Window
from mmswinv2.models.window_transfer import StageTransfer, stage_transfers
from mmswinv2.planning.free_memory import free_memory

from .measuring import PeakMemory
from .models import LoadedModel

MUCH = 1e6  # px as the network sees them, from which on memory is asked for


@dataclass(frozen=True)
class Settings:
    """What a pass is made with.

    Attributes:
        short_side (int, optional): Of the picture as the network sees it, in px. None:
            the config's own.
        windows (tuple[tuple[int, int], ...], optional): Of every stage, in tokens.
            None: the config's own.
    """

    short_side: int | None = None
    windows: tuple[Window, ...] | None = None


@dataclass
class Pass:
    """What a pass gave.

    Attributes:
        settings (Settings): It was made with.
        sample (BaseDataElement): What was found, on the CPU.
        seconds (float): It took, from pixels to what was found.
        memory (int, optional): Bytes at its peak, see :class:`PeakMemory`.
        transfers (list[StageTransfer]): Position biases at the checkpoint's windows and
            at these; empty for a model with another backbone.
    """

    settings: Settings
    sample: BaseDataElement
    seconds: float
    memory: int | None
    transfers: list[StageTransfer] = field(default_factory=list)


def run_pass(
    model: LoadedModel,
    pixels: np.ndarray,
    settings: Settings,
    on_tile: Callable[[int, int], None] | None = None,
) -> Pass:
    """Runs a picture through a model.

    Args:
        model (LoadedModel): Other passes of it wait.
        pixels (ndarray): BGR ``(H, W, 3)`` of 8 bits.
        settings (Settings): Scale and windows.
        on_tile (Callable, optional): Told of the tiles of a large picture that are done
            and of all.

    Raises:
        ValueError: The picture does not fit the pipeline.
        RunError: There is too little memory for it.
    """
    with model.at(settings.short_side, settings.windows):
        _check_memory(model, pixels.shape[:2])
        model.inferencer.on_tile = on_tile
        start = time.perf_counter()
        try:
            with PeakMemory(model.device) as peak:
                sample = predict(model.inferencer, pixels).cpu()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if model.device.type == "cuda":
                torch.cuda.empty_cache()
            raise RunError(
                "there is too little memory for this; choose a smaller image scale or "
                "smaller windows"
            ) from error
        finally:
            model.inferencer.on_tile = None
        seconds = time.perf_counter() - start
        transfers = stage_transfers(model.backbone) if model.backbone else []
    return Pass(settings, sample, seconds, peak.bytes, transfers)


def _check_memory(model: LoadedModel, size: tuple[int, ...]) -> None:
    """Raises RunError where a picture would be made too large for the memory.

    Those that are too large as they are come in tiles.
    """
    tiles = getattr(model.inferencer, "tiles", None)
    shrink = tiles.shrink(size) if tiles else 1.0
    seen = size[0] * size[1] / shrink**2
    if shrink >= 1 or seen < MUCH:
        return
    need, free = int(model.bytes_per_px * seen), free_memory(model.device)
    if need > free:
        raise RunError(
            f"the picture at this image scale takes about {decimal(need)} of memory, "
            f"and {decimal(free)} are free; choose a smaller scale"
        )
