"""Writes video files, encoded by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from .reading import import_av


def write_video(path: str | Path, frames: np.ndarray, *, rate: int, crf: int = 23) -> None:
    """Writes an mp4 file of H.264.

    The same frames give the same bytes.

    Args:
        path (str | Path): Of the file.
        frames (np.ndarray): ``(N, H, W, 3)`` of uint8, RGB; height and width are even.
        rate (int): Frames a second.
        crf (int): Of x264: 0 loses nothing, each 6 more about halve the file. Defaults
            to 23.

    Raises:
        RuntimeError: PyAV is not installed.
    """
    av = import_av()
    with av.open(str(path), "w") as container:
        options = dict(crf=str(crf), preset="veryfast")
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"  # what all players know
        stream.thread_count = 1
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
