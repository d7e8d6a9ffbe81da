"""Pictures of the page: a prediction, two of one size, and position biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

from mmswinv2.drawing import draw_sample
from mmswinv2.drawing.panels import PAPER
from mmswinv2.engine.bias_maps import draw_bias_maps
from mmswinv2.models.window_transfer import StageTransfer

LARGEST = 2560  # px of a side on the page


def draw(
    pixels: np.ndarray, sample: BaseDataElement, meta: Mapping, score: float
) -> np.ndarray:
    """A picture with what was found in it, RGB ``(H, W, 3)``, as large as a page takes.

    Args:
        pixels (ndarray): BGR ``(H, W, 3)`` of 8 bits.
        sample (BaseDataElement): A prediction.
        meta (Mapping): ``classes``, and perhaps ``palette``.
        score (float): Objects of no more are left out.
    """
    pixels = np.ascontiguousarray(pixels[..., ::-1])
    drawn = draw_sample(pixels, sample, meta, score_thr=score, with_truth=False)
    factor = LARGEST / max(drawn.shape[:2])
    if factor < 1:
        size = [max(1, round(side * factor)) for side in drawn.shape[1::-1]]
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return drawn


def of_one_size(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures with paper below and beside them, so that their places agree."""
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    return [
        cv2.copyMakeBorder(
            picture,
            0,
            height - picture.shape[0],
            0,
            width - picture.shape[1],
            cv2.BORDER_CONSTANT,
            value=PAPER,
        )
        for picture in pictures
    ]


def draw_biases(transfers: Sequence[StageTransfer]) -> np.ndarray | None:
    """The position bias of every stage's first head, at both windows; None of none."""
    return draw_bias_maps(transfers, num_heads=1) if transfers else None
