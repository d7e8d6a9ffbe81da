"""Pictures of clips: some frames in a row, and the likeliest classes beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import mmcv
import numpy as np
from mmengine.structures import BaseDataElement

from mmswinv2.drawing.class_scores import draw_classes
from mmswinv2.drawing.panels import PAPER, make_label
from mmswinv2.engine.picture_hook import PictureHook
from mmswinv2.registry import HOOKS

from .reading import VideoReader

FRAMES, HEIGHT, GAP = 6, 200, 4  # frames of a strip, height and gap in px


def draw_strip(
    path: str, sample: BaseDataElement, meta: Mapping, *, with_truth: bool = True
) -> np.ndarray:
    """Frames of a video from its first to its last, and its likeliest classes.

    Args:
        path (str): Of the video.
        sample (BaseDataElement): ``pred_score``, and perhaps ``gt_label``.
        meta (Mapping): ``classes``.
        with_truth (bool): Whether ``gt_label`` is looked at. Defaults to True.

    Returns:
        ndarray: RGB ``(H, W, 3)`` of 8 bits.
    """
    video = VideoReader(path)
    last = len(video) - 1
    numbers = [*dict.fromkeys(np.linspace(0, last, FRAMES).round().astype(int))]
    frames = [_at_height(frame) for frame in video.read(numbers)]
    gap = np.full((HEIGHT, GAP, 3), PAPER, np.uint8)
    strip = np.hstack([part for frame in frames for part in (frame, gap)][:-1])
    shown = ", ".join(map(str, numbers))
    title = f"frames {shown}" + f" of 0 to {last}" * (len(numbers) <= last)
    return draw_classes(strip, sample, meta, with_truth=with_truth, title=title)


def _at_height(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return mmcv.imresize(frame, (max(round(width * HEIGHT / height), 1), HEIGHT))


def draw_label(video: VideoReader, text: str) -> Iterator[np.ndarray]:
    """All frames of a video with a text at the top left, one at a time."""
    label = None
    for frame in video:
        if label is None:
            label = make_label(text, frame.shape)
        frame = frame.copy()
        frame[: label.shape[0], : label.shape[1]] = label
        yield frame


@HOOKS.register_module()
class ClipPictureHook(PictureHook):
    """As :class:`PictureHook`, with a strip of frames of each video."""

    def draw(self, sample: BaseDataElement, meta: Mapping) -> np.ndarray:
        """The picture of one video, RGB."""
        return draw_strip(sample.filename, sample, meta)
