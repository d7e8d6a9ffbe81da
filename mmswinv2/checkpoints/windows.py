"""Windows that published weights were trained with, and the record of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmswinv2.ops.log_coords import windows_of_coords

Window = tuple[int, int]  # (height, width) in tokens
StageWindows = list[tuple[Window, Window]]  # (window, normaliser) of every stage

WINDOW_RECORD = "window_record"  # buffer (stages, 2, 2) in our own checkpoints
MAX_WINDOW = 4096  # tokens, 16,384 px at stage 0: more than any map has
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
        ValueError: If the record holds no windows, or the coordinates are not
            log-spaced.
    """
    if WINDOW_RECORD in weights:
        record = weights[WINDOW_RECORD]
        # Of a file whose numbers were all made half precision
        if record.is_floating_point() and record.long().equal(record):
            record = record.long()
        return parse_stage_windows(record.tolist())
    windows = []
    while table := f"layers.{len(windows)}.blocks.0.attn.relative_coords_table":
        if table not in weights:
            return windows or None
        windows.append(windows_of_coords(weights[table]))


def parse_stage_windows(given: object) -> StageWindows:
    """Windows as a file has them: a list of ((h, w), (h, w)), one per stage.

    Raises:
        ValueError: If it is none.
    """
    windows = _tuples(given)
    check_windows(windows)
    return [*windows]


def check_windows(windows: Sequence, stages: int | None = None) -> None:
    """Raise ValueError unless these can be the windows of a model.

    Args:
        windows (Sequence): ((h, w), (h, w)) of every stage, window and normaliser.
        stages (int, optional): How many stages there are. Defaults to any number.
    """
    sound = isinstance(windows, (list, tuple)) and len(windows) > 0
    sound = sound and all(
        isinstance(stage, tuple)
        and [len(pair) if isinstance(pair, tuple) else 0 for pair in stage] == [2, 2]
        and all(type(n) is int and 1 <= n <= MAX_WINDOW for pair in stage for n in pair)
        for stage in windows
    )
    if not sound or stages not in (None, len(windows)):
        raise ValueError(
            f"the checkpoint has the windows {str(windows)[:100]}, expected for each "
            f"of its {stages or ''} stages ((height, width), (height, width)): the "
            f"window and the one of pre-training, of 1 to {MAX_WINDOW} tokens"
        )


def _tuples(given: object) -> object:
    return tuple(map(_tuples, given)) if isinstance(given, list) else given


def record_of(windows: StageWindows) -> Tensor:
    """Windows as the tensor that our checkpoints keep, ``(stages, 2, 2)``."""
    return torch.tensor([[list(pair) for pair in stage] for stage in windows])


def per_stage(windows: Sequence[Window]) -> str:
    """Windows in short: '16, 16, 16, 8'; rectangles as '16x8'."""
    return ", ".join(str(h) if h == w else f"{h}x{w}" for h, w in windows)
