"""Draws what a classifier takes a picture for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mmengine.structures import BaseDataElement
from PIL import Image, ImageDraw

from .panels import INK, PAPER, font, make_panel, side_by_side, text_size

TOP = 5  # classes that are shown
LETTERS = 32  # for which there is room at least
# Okabe and Ito's, which people of all kinds of colour vision tell apart
TRUE, OTHER = (0, 158, 115), (0, 114, 178)


def top_classes(
    sample: BaseDataElement, meta: Mapping, count: int = TOP
) -> list[tuple[int, str, float]]:
    """The likeliest classes of a picture, each its number, name and score.

    Args:
        sample (BaseDataElement): With ``pred_score``.
        meta (Mapping): ``classes``.
        count (int): How many, or as many as there are. Defaults to 5.
    """
    scores = sample.pred_score
    order = scores.argsort(descending=True)[:count].tolist()
    return [(i, short_name(meta["classes"][i]), float(scores[i])) for i in order]


def short_name(name: str) -> str:
    """Of the synonyms that ImageNet's names are, the first."""
    return name.split(",")[0]


def draw_classes(
    pixels: np.ndarray,
    sample: BaseDataElement,
    meta: Mapping,
    *,
    with_truth: bool,
    title: str = "picture",
) -> np.ndarray:
    """A picture, and beside it its likeliest classes with bars, the true one's green.

    Args:
        pixels (ndarray): RGB ``(H, W, 3)`` of 8 bits.
        sample (BaseDataElement): ``pred_score``, and perhaps ``gt_label``.
        meta (Mapping): ``classes``.
        with_truth (bool): Whether ``gt_label`` is looked at.
        title (str): Of the picture. Defaults to 'picture'.

    Returns:
        ndarray: RGB.
    """
    size = text_size(pixels.shape)
    line = size * 3 // 2
    truth = sample.gt_label.tolist() if with_truth and "gt_label" in sample else []
    named = ", ".join(short_name(meta["classes"][i]) for i in truth)
    legend = [(f"truth: {named}", TRUE)] * bool(truth)
    rows = [
        (f"{score:.2f} {name}", score, TRUE if index in truth else OTHER)
        for index, name, score in top_classes(sample, meta)
    ]
    texts = [row[0] for row in rows] + [text for text, _ in legend]
    longest = max(int(font(size).getlength(text)) for text in texts)
    width = max(LETTERS * size // 2, longest + 2 * line)
    bars = Image.new("RGB", (width, 2 * line * len(rows)), PAPER)
    draw = ImageDraw.Draw(bars)
    for row, (text, score, color) in enumerate(rows):
        x, y = size // 3, 2 * line * row
        draw.text((x, y + line // 2), text, INK, font(size), anchor="lm")
        end = x + score * (width - size)
        draw.rectangle((x, y + line, end, y + line + size), fill=color)
    picture = make_panel(pixels, title, (), size)
    return side_by_side(
        [picture, make_panel(np.array(bars), "prediction", legend, size)]
    )
