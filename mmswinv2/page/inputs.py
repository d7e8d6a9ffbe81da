"""What people give to the page, checked: a file, an image scale, windows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmswinv2.large_images.tiling import LEAST
from mmswinv2.models.window_fit import Window
from mmswinv2.pictures import picture_size, read_picture

FILE_SIZE = "200mb"
MEGAPIXELS = 120  # 10,000 x 10,000 px is 100
SHORT_SIDES = range(LEAST, 2049)  # px
LARGEST_WINDOW = 64  # tokens; the paper tests 48


def read_upload(path: str) -> np.ndarray:
    """Pixels (H, W, 3) of a file in OpenCV's order BGR.

    Raises:
        ValueError: It is no picture, not all of one or too large; the message begins
            with its name.
    """
    name = Path(path).name
    height, width = picture_size(path) or (0, 0)
    if height * width > MEGAPIXELS * 1e6:
        raise ValueError(
            f"{name} is {width} x {height} px, more than the {MEGAPIXELS} megapixels "
            "that this page takes; demo/image_demo.py takes larger ones"
        )
    try:
        return read_picture(path)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def parse_scale(value: float | None) -> int | None:
    """Short side in px; None, for the config's own, of nothing.

    Raises:
        ValueError: It is too small or too large.
    """
    if not value:  # an empty field is 0 in some browsers
        return None
    if int(value) not in SHORT_SIDES:
        raise ValueError(
            f"an image scale of {value:g} px: expected a short side from "
            f"{SHORT_SIDES[0]} to {SHORT_SIDES[-1]} px"
        )
    return int(value)


def parse_stages(texts: Sequence[str], own: Sequence[Window]) -> tuple[Window, ...]:
    """Windows as people write them, one for each stage: '16', or '16x12' (h, w).

    Args:
        texts (Sequence[str]): One for each stage.
        own (Sequence[tuple[int, int]]): Windows of the stages without a text.

    Raises:
        ValueError: One of them is none.
    """
    windows = []
    for stage, (text, default) in enumerate(zip(texts, own)):
        if not (text or "").strip():
            windows.append(default)
            continue
        sides = re.fullmatch(r"\s*(\d{1,4})\s*(?:[x,]\s*(\d{1,4})\s*)?", text)
        window = tuple(int(side) for side in sides.groups() if side) if sides else ()
        if not window or not 1 <= min(window) <= max(window) <= LARGEST_WINDOW:
            raise ValueError(
                f"window {text[:20]!r} of stage {stage}: expected 1 to "
                f"{LARGEST_WINDOW} tokens, such as 16, or height x width, such as 16x12"
            )
        windows.append((window[0], window[-1]))
    return tuple(windows)


def write_window(window: Window) -> str:
    """As :func:`parse_stages` reads it."""
    height, width = window
    return str(height) if height == width else f"{height}x{width}"
