"""Writes videos by PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmswinv2.checkpoints.whole_files import whole_file

from .reading import VideoReader, converter, fraction_of, import_av

if TYPE_CHECKING:
    import av

CODEC, PIXELS = "libx264", "yuv420p"  # which browsers play
SOUNDS = {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}  # in an .mp4


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
    with video_writer(path, rate, crf=crf) as write:
        for number, pixels in enumerate(frames):
            write(pixels, number)


@contextmanager
def video_writer(
    path: Path,
    rate: float = 0,
    *,
    crf: int = 23,
    time_base: Fraction | None = None,
    sound: VideoReader | None = None,
) -> Iterator[Callable[[np.ndarray, int], None]]:
    """As :func:`write_video`, frame by frame; without an error what there is is whole.

    Args:
        path (Path): Of an .mp4.
        rate (float): Frames a second, about. Defaults to 0: 25.
        crf (int): See :func:`write_video`. Defaults to 23.
        time_base (Fraction, optional): Of the frames' times, in s. Defaults to 1 /
            ``rate``.
        sound (VideoReader, optional): Whose sound is copied, as far as there are
            frames, if an .mp4 takes it. Defaults to None.

    Yields:
        Callable[[ndarray, int], None]: Takes a frame and its time.

    Raises:
        RuntimeError: PyAV is not installed.
    """
    av, convert = import_av(), converter(PIXELS)
    exact = fraction_of(rate)
    with ExitStack() as stack:
        unfinished = stack.enter_context(whole_file(path, flush=False))
        container = stack.enter_context(av.open(str(unfinished), "w", format="mp4"))
        # With its trees, the bytes of small videos differ from time to time.
        options = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
        stream = container.add_stream(CODEC, rate=exact, options=options)
        stream.pix_fmt = PIXELS
        stream.thread_count = 1
        if time_base is not None:
            stream.codec_context.time_base = time_base
        packets = iter(()) if sound is None else sound.sound(SOUNDS)
        copied = _Sound(packets, container)
        first = last = None

        def write(pixels: np.ndarray, time: int) -> None:
            nonlocal first, last
            height, width = pixels.shape[:2]
            odd = (0, height % 2), (0, width % 2), (0, 0)
            pixels = np.ascontiguousarray(np.pad(pixels, odd, "edge"))
            if first is None:
                stream.height, stream.width = pixels.shape[:2]
                first, last = time, time - 1
            last = max(time, last + 1)  # of two at once, one comes later
            frame = convert(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
            frame.time_base, frame.pts = time_base or 1 / exact, last - first
            container.mux(stream.encode(frame))
            base = frame.time_base
            copied.copy(first * base, last * base + 1 / exact)

        yield write
        container.mux(stream.encode())


class _Sound:
    """Sound that is copied as it is, in step with frames."""

    def __init__(
        self, packets: Iterator, container: av.container.OutputContainer
    ) -> None:
        self.packets, self.container = packets, container
        template = next(packets, None)
        if template is not None:
            self.stream = container.add_stream_from_template(template)
        self.packet = next(packets, None)

    def copy(self, start: Fraction, end: Fraction) -> None:
        """What is heard until ``end``, in s, as if ``start`` were 0."""
        while (packet := self.packet) is not None:
            time = packet.dts * packet.time_base
            if time >= end:
                return
            if time >= start:
                shift = round(start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self.stream
                self.container.mux(packet)
            self.packet = next(self.packets, None)
