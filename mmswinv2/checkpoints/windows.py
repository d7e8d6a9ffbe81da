"""Windows that published weights were trained with, and the record of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmswinv2.ops.log_coords import windows_of_coords

Window = tuple[int, int]  # (height, width) in tokens
StageWindows = list[tuple[Window, Window]]  # (window, normaliser) of every stage

WINDOW_RECORD = "window_record"  # buffer (stages, 2, 2) in our own checkpoints
PATCH_SIZE = 4  # px per token at stage 0; every stage halves the map


def effective_windows(
    window: int | Window, image_size: int | Window, num_stages: int = 4
) -> list[Window]:
    """Window really used at every stage when training at one image size.

    A window never exceeds its map (official code): window 16 at 256 px is
    16, 16, 16, 8.

    Args:
        window (int | tuple[int, int]): Configured window in tokens.
        image_size (int | tuple[int, int]): Training image in px.
        num_stages (int): Number of stages. Defaults to 4.

    Returns:
        list[tuple[int, int]]: (height, width) in tokens per stage.
    """
    sizes = (window, window) if isinstance(window, int) else window
    image = (image_size, image_size) if isinstance(image_size, int) else image_size
    return [
        tuple(min(w, -(-px // (PATCH_SIZE * 2**stage))) for w, px in zip(sizes, image))
        for stage in range(num_stages)
    ]


def windows_of_buffers(weights: dict[str, Tensor]) -> StageWindows | None:
    """Windows per stage from our record or from tables of coordinates.

    Args:
        weights (dict[str, Tensor]): Weights by the names of this package.

    Returns:
        list | None: (window, normaliser) per stage; None where no buffer tells.

    Raises:
        ValueError: If the coordinates are not log-spaced.
    """
    if WINDOW_RECORD in weights:
        return [
            (tuple(window), tuple(pretrained))
            for window, pretrained in weights[WINDOW_RECORD].tolist()
        ]
    windows = []
    while table := f"layers.{len(windows)}.blocks.0.attn.relative_coords_table":
        if table not in weights:
            return windows or None
        windows.append(windows_of_coords(weights[table]))


def record_of(windows: StageWindows) -> Tensor:
    """Windows as the tensor that our checkpoints keep, ``(stages, 2, 2)``."""
    return torch.tensor([[list(pair) for pair in stage] for stage in windows])


def per_stage(windows: Sequence[Window]) -> str:
    """Windows in short: '16, 16, 16, 8'; rectangles as '16x8'."""
    return ", ".join(str(h) if h == w else f"{h}x{w}" for h, w in windows)
