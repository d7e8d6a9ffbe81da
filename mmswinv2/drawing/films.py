"""Draws what is found in the frames of a film, in a layout that stays."""
# H W size of a frame in px

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from PIL import Image, ImageDraw

from .class_scores import top_classes
from .palette import palette_of
from .panels import INK, PAPER, font, make_label, text_size
from .samples import draw_on, enlarge
from .summary import SHOWN, count_classes

COLUMN = 10  # width of a place in the legend, in sizes of letters
ROWS = 2  # of the legend
PALE = 0.25  # of the colour of a class that is not in the frame


class FilmDrawing:
    """Draws frames of one film, each with what was found in it.

    Below them is a legend of constant size, where a class keeps its place: of more
    classes than there are places, those that are seen take the places of those that
    were not for longest. A classifier's frames have its likeliest class in the corner.

    Args:
        meta (Mapping): ``classes``, and perhaps ``palette``.
        score_thr (float): Detections below it are left out. Defaults to 0.3.

    Attributes:
        seen (Counter): In how many frames each class was, by its name.
    """

    def __init__(self, meta: Mapping, *, score_thr: float = 0.3) -> None:
        self.meta, self.score_thr = meta, score_thr
        self.seen: Counter[str] = Counter()
        self._places: list[Any] = []  # numbers of classes
        self._last: dict[int, int] = {}  # frame in which each class was last
        self._frames = 0

    def __call__(self, pixels: np.ndarray, sample: BaseDataElement) -> np.ndarray:
        """A frame, all of one size.

        Args:
            pixels (ndarray): RGB ``(H, W, 3)`` of 8 bits.
            sample (BaseDataElement): A prediction.

        Returns:
            ndarray: RGB; small frames are drawn larger.
        """
        pixels, zoom = enlarge(pixels)
        self._frames += 1
        if "pred_score" in sample:
            return self._label(pixels, sample)
        drawn = draw_on(pixels, sample, self.meta, score_thr=self.score_thr, zoom=zoom)
        classes = self.meta["classes"]
        present = np.flatnonzero(count_classes(sample, len(classes), self.score_thr))
        self.seen.update(classes[index] for index in present)
        return np.concatenate([drawn, self._legend(pixels.shape, present.tolist())])

    def describe(self) -> str:
        """Which classes were seen most, as 'person in 120 frames, dog in 3'."""
        most = self.seen.most_common(SHOWN)
        texts = [f"{name} in {count}" for name, count in most]
        if texts:
            texts[0] += " frame" + "s" * (most[0][1] != 1)
        return ", ".join(texts) or "nothing"

    def _label(self, pixels: np.ndarray, sample: BaseDataElement) -> np.ndarray:
        ((_, name, score),) = top_classes(sample, self.meta, 1)
        self.seen[name] += 1
        label = make_label(f"{name} {score:.2f}", pixels.shape)
        pixels = pixels.copy()
        pixels[: label.shape[0], : label.shape[1]] = label
        return pixels

    def _legend(self, shape: tuple[int, ...], present: Collection[int]) -> np.ndarray:
        size, width = text_size(shape), shape[1]
        columns = max(width // (COLUMN * size), 1)
        self._take_places(present, columns)
        line, column = size * 3 // 2, width // columns
        rows = -(-len(self._places) // columns)
        panel = Image.new("RGB", (width, line * rows), PAPER)
        draw = ImageDraw.Draw(panel)
        for place, index in enumerate(self._places):
            if index is None:
                continue
            share = 1 if index in present else PALE
            x, y = place % columns * column, place // columns * line + line // 2
            box = [x + size // 3, y - size // 2, x + size * 4 // 3, y + size // 2]
            draw.rectangle(box, fill=_paler(palette_of(self.meta)[index], share))
            name = _shortened(self.meta["classes"][index], size, column - 2 * size)
            ink = _paler(INK, share)
            draw.text((x + size * 5 // 3, y), name, ink, font(size), anchor="lm")
        return np.array(panel)

    def _take_places(self, present: Collection[int], columns: int) -> None:
        count = len(self.meta["classes"])
        if not self._places:
            places = min(count, ROWS * columns)
            fixed = places == count
            self._places = [*range(count)] if fixed else [None] * places
        self._last |= dict.fromkeys(present, self._frames)
        for index in present:
            if index not in self._places:
                longest = min(
                    self._places, key=lambda i: 0 if i is None else self._last.get(i, 0)
                )
                if longest not in present:
                    self._places[self._places.index(longest)] = index


def _paler(color: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(
        round(value * share + paper * (1 - share)) for value, paper in zip(color, PAPER)
    )


def _shortened(name: str, size: int, width: int) -> str:
    """A name that is no longer than ``width`` px."""
    if font(size).getlength(name) <= width:
        return name
    while name and font(size).getlength(f"{name}\N{HORIZONTAL ELLIPSIS}") > width:
        name = name[:-1]
    return f"{name}\N{HORIZONTAL ELLIPSIS}"
