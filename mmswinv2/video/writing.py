"""Writes videos by PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from mmswinv2.checkpoints.whole_files import whole_file

from .reading import converter, import_av

CODEC, PIXELS = "libx264", "yuv420p"  # which browsers play
RATE = 25  # frames a second, where none is known


def write_video(
    path: Path, frames: Iterable[np.ndarray], rate: float = 0, *, crf: int = 23
) -> None:
    """Writes a file, whole or not at all; of an odd size the last row is doubled.

    The same frames give the same bytes.

    Args:
        path (Path): Of an .mp4.
        frames (Iterable[ndarray]): RGB ``(H, W, 3)`` of 8 bits, all of one size.
        rate (float): Frames a second. Defaults to 0: 25.
        crf (int): Of x264: 0 loses nothing, each 6 more about halve the file. Defaults
            to 23.

    Raises:
        RuntimeError: PyAV is not installed.
    """
    av, convert = import_av(), converter(PIXELS)
    rate = Fraction(rate or RATE).limit_denominator(1001)
    with (
        whole_file(path, flush=False) as unfinished,
        av.open(str(unfinished), "w", format="mp4") as container,
    ):
        # With its trees, the bytes of small videos differ from time to time.
        options = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
        stream = container.add_stream(CODEC, rate=rate, options=options)
        stream.pix_fmt = PIXELS
        stream.thread_count = 1
        for pixels in frames:
            height, width = pixels.shape[:2]
            odd = (0, height % 2), (0, width % 2), (0, 0)
            pixels = np.ascontiguousarray(np.pad(pixels, odd, "edge"))
            if not stream.codec_context.is_open:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(convert(frame)))
        container.mux(stream.encode())
