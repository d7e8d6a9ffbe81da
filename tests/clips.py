"""Short videos that PyAV writes, for the tests of whatever reads them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def counting_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames ``(count, height, width, 3)`` of uint8 that differ, and move."""
    t, y, x = np.ogrid[:count, :height, :width]
    red = (4 * x + 16 * t) % 256 + 0 * y
    green = (4 * y + 8 * t) % 256 + 0 * x
    blue = 40 + 3 * t + 0 * (x + y)
    return np.stack([red, green, blue % 256], axis=-1).astype(np.uint8)


def write_clip(
    path: Path,
    frames: np.ndarray | int = 30,
    *,
    rate: int = 30,
    gop: int = 12,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes a video, whose container the suffix of the path says.

    Args:
        path (Path): Of the file; its folder is made.
        frames (np.ndarray | int): ``(count, height, width, 3)`` of uint8, RGB, or how
            many of :func:`counting_frames`. Defaults to 30.
        rate (int): Frames a second. Defaults to 30.
        gop (int): Frames from a key frame to the next. Defaults to 12.
        codec (str): Of FFmpeg. Defaults to 'libx264', which has B-frames.
        pix_fmt (str): Of FFmpeg. Defaults to 'yuv420p'.
        rotation (int): Degrees by which players turn the frames counterclockwise.
            Defaults to 0.
        times (Sequence[int], optional): When each frame is shown, in 1 / ``rate`` s.
            Defaults to 0, 1, 2, ...
        options (dict[str, str], optional): Of the encoder.

    Returns:
        Path: Of the file.
    """
    if isinstance(frames, int):
        frames = counting_frames(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    x264 = {"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=x264 | (options or {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.gop_size = pix_fmt, gop
        stream.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
