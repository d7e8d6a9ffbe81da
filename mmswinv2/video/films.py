"""Films of what is found in videos and in what cameras see, frame by frame."""
# H W size of a frame in px

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement

from .camera import Camera
from .reading import UnreadableVideoError, VideoReader
from .writing import video_writer


@dataclass
class Made:
    """What became of a film.

    Attributes:
        frames (int): That it has.
        size (tuple[int, int]): (H, W) of the source.
        seconds (float): That it took.
        fault (str): Why it ends before the video does. Defaults to '': it does not.
    """

    frames: int
    size: tuple[int, int]
    seconds: float
    fault: str = ""


class EveryNth:
    """Predicts each n-th frame; the others keep what was found before.

    Args:
        predict (Callable): Takes BGR ``(H, W, 3)``, gives a prediction.
        draw (Callable): Takes RGB and a prediction, gives RGB.
        n (int): 1 for all.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], BaseDataElement],
        draw: Callable[[np.ndarray, BaseDataElement], np.ndarray],
        n: int,
    ) -> None:
        self.predict, self.draw, self.n = predict, draw, n
        self.frames = 0
        self.found: BaseDataElement | None = None

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """A frame, drawn."""
        if self.frames % self.n == 0:
            self.found = self.predict(np.ascontiguousarray(pixels[..., ::-1]))
        self.frames += 1
        return self.draw(pixels, self.found)


def make_film(
    source: VideoReader | Camera,
    path: Path,
    look: Callable[[np.ndarray], np.ndarray],
    *,
    seconds: float | None = None,
    goes_on: Callable[[int], bool] = lambda frames: True,
) -> Made:
    """Writes an .mp4 of what a function makes of frames, at their times, with sound.

    One frame is held at a time. What there is when it ends is whole, whatever ends it:
    ``seconds``, ``goes_on``, or a frame that is damaged.

    Args:
        source (VideoReader | Camera): Where frames come from.
        path (Path): Of the film.
        look (Callable): Takes and gives RGB ``(H, W, 3)`` of 8 bits, of one size.
        seconds (float, optional): Of the film at most. Defaults to None: to its end.
        goes_on (Callable): Hears after each frame how many there are, and says whether
            more are wished for. Defaults to one that always does.

    Raises:
        UnreadableVideoError: There is not one frame.
        UnsavedError: The film cannot be written.
    """
    start = time.perf_counter()
    made = Made(0, (0, 0), 0)
    sound = source if isinstance(source, VideoReader) else None
    options: dict[str, Any] = dict(time_base=source.time_base, sound=sound)
    with video_writer(path, source.rate, **options) as write:
        first = None
        try:
            for moment, pixels in source.timed():
                first = moment if first is None else first
                if seconds and (moment - first) * source.time_base >= seconds:
                    break
                write(look(pixels), moment)
                made.frames, made.size = made.frames + 1, pixels.shape[:2]
                if not goes_on(made.frames):
                    break
        except UnreadableVideoError as error:
            made.fault = str(error)
        if not made.frames:
            raise UnreadableVideoError(made.fault or "gave no frames")
    made.seconds = time.perf_counter() - start
    return made
