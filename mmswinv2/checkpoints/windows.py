"""Windows that published weights were trained with, and the record of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmswinv2.ops.log_coords import windows_of_coords

Window = tuple[int, ...]  # (height, width) or (time, height, width) in tokens
StageWindows = list[tuple[Window, Window]]  # (window, normaliser) of every stage

WINDOW_RECORD = "window_record"  # buffer (stages, 2, axes) in our own checkpoints
MAX_WINDOW = 4096  # tokens, 16,384 px at stage 0: more than any map has
PATCH_SIZE = 4  # px per token at stage 0; every stage halves the map


def effective_windows(
    window: int | Window, image_size: int | Window, num_stages: int = 4
) -> list[Window]:
    """Window really used at every stage when training on images of one size.

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
    windows: StageWindows = []
    name = "layers.{}.blocks.0.attn.relative_coords_table"
    while (table := name.format(len(windows))) in weights:
        windows.append(windows_of_coords(weights[table]))
    return windows or None


def parse_stage_windows(given: Any) -> StageWindows:
    """Windows as a file has them: a list of ((h, w), (h, w)), one per stage.

    Those of videos are (t, h, w).

    Raises:
        ValueError: If it is none.
    """
    windows = _tuples(given)
    check_windows(windows)
    return [*windows]


def check_windows(
    windows: Sequence, stages: int | None = None, axes: int | None = None
) -> None:
    """Raise ValueError unless these can be the windows of a model.

    Args:
        windows (Sequence): (window, normaliser) of every stage, of two or three axes.
        stages (int, optional): How many stages there are. Defaults to any number.
        axes (int, optional): How many axes its maps have. Defaults to either.
    """
    sound = isinstance(windows, (list, tuple)) and len(windows) > 0
    sound = sound and all(
        isinstance(stage, tuple)
        and len(stage) == 2
        and all(isinstance(window, tuple) for window in stage)
        and all(type(n) is int and 1 <= n <= MAX_WINDOW for w in stage for n in w)
        for stage in windows
    )
    lengths = {len(window) for stage in windows for window in stage} if sound else set()
    known = ({2}, {3}) if axes is None else ({axes},)
    if lengths not in known or stages not in (None, len(windows)):
        window = "(time, height, width)" if axes == 3 else "(height, width)"
        raise ValueError(
            f"the checkpoint has the windows {str(windows)[:100]}, expected for each "
            f"of its {stages or ''} stages ({window}, {window}): the window and the "
            f"one of pre-training, of 1 to {MAX_WINDOW} tokens"
        )


def _tuples(given: Any) -> Any:
    return tuple(map(_tuples, given)) if isinstance(given, list) else given


def record_of(windows: StageWindows) -> Tensor:
    """Windows as the tensor that our checkpoints keep, ``(stages, 2, axes)``."""
    return torch.tensor([[list(pair) for pair in stage] for stage in windows])


def per_stage(windows: Sequence[Window]) -> str:
    """Windows in short, see :func:`short`: '16, 16, 16, 8'."""
    return ", ".join(map(short, windows))


def short(window: Window) -> str:
    """'16' if all axes are alike, else '16x8' for height and width, or '8x16x16'."""
    return "x".join(map(str, window if len({*window}) > 1 else window[:1]))
