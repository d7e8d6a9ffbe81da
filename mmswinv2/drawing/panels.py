"""Titles, legends and pictures beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from .bands import bands, to_array
from .palette import Color

PAPER, INK = (255, 255, 255), (20, 20, 20)
LEGEND_ENTRIES = 30


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's own font, which is everywhere and knows more than ASCII."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def text_size(shape: Sequence[int]) -> int:
    """Size of letters, in px, that suits a picture of ``shape`` (H, W, ...)."""
    return max(12, min(shape[:2]) // 45)


def make_panel(
    pixels: np.ndarray, title: str, legend: Sequence[tuple[str, Color]], size: int
) -> Image.Image:
    """A picture below its title and above its legend.

    Args:
        pixels (ndarray): RGB ``(H, W, 3)`` of 8 bits.
        title (str): One line.
        legend (Sequence[tuple[str, Color]]): Names and colours, the first are shown.
        size (int): Of letters, in px.
    """
    height, width = pixels.shape[:2]
    line = size * 3 // 2
    if len(legend) > LEGEND_ENTRIES:
        rest = len(legend) - LEGEND_ENTRIES
        legend = [*legend[:LEGEND_ENTRIES], (f"and {rest} more", PAPER)]
    places, x, row = [], 0, 0
    for name, _ in legend:
        length = int(font(size).getlength(name)) + 2 * line
        if x and x + length > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += length
    rows = row + 1 if legend else 0
    panel = Image.new("RGB", (width, height + line * (1 + rows)), PAPER)
    for band in bands(pixels.shape):
        panel.paste(Image.fromarray(pixels[band]), (0, line + band.start))
    draw = ImageDraw.Draw(panel)
    draw.text((size // 3, line // 2), title, INK, font(size), anchor="lm")
    for (name, color), (x, row) in zip(legend, places):
        middle = height + line * row + line * 3 // 2
        box = [x + size // 3, middle - size // 2, x + size * 4 // 3, middle + size // 2]
        if color != PAPER:
            draw.rectangle(box, fill=color, outline=INK)
        draw.text((x + size * 5 // 3, middle), name, INK, font(size), anchor="lm")
    return panel


def make_label(text: str, shape: Sequence[int]) -> np.ndarray:
    """A text on paper for the corner of a frame of ``shape`` (H, W, ...), as RGB."""
    size = max(shape[0] // 16, 10)
    width = int(font(size).getlength(text)) + size
    patch = Image.new("RGB", (width, size * 3 // 2), PAPER)
    middle = (size // 2, size * 3 // 4)
    ImageDraw.Draw(patch).text(middle, text, INK, font(size), anchor="lm")
    return np.array(patch)[: shape[0], : shape[1]]


def side_by_side(panels: Sequence[Image.Image]) -> np.ndarray:
    """Panels from left to right, their tops aligned, as RGB ``(H, W, 3)``."""
    if len(panels) == 1:
        return to_array(panels[0])
    gap = 4
    width = sum(panel.width + gap for panel in panels) - gap
    sheet = Image.new("RGB", (width, max(panel.height for panel in panels)), PAPER)
    x = 0
    for panel in panels:
        sheet.paste(panel, (x, 0))
        x += panel.width + gap
    return to_array(sheet)
