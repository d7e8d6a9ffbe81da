"""Frames of video files by their number, decoded by PyAV.

Legend: N frames, H height, W width, in px.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import av


RATE = 25  # frames a second, where none is known


class UnreadableVideoError(ValueError):
    """A file that is there, but from which frames cannot be had."""


class VideoReader:
    """A video file.

    A frame's number is its place in the order in which frames are shown, whatever the
    time between two: where the rate varies, a stride of 2 takes every second frame, as
    decord and mmaction2 do. Frames that an edit list leaves out have no number. Frames
    are upright, as players turn them; pixels that are not square stay as they are.

    The file is gone through once for the times of all frames, without decoding, so
    that a header need not be right, and again for each call of :meth:`read`, which
    decodes from key frames before wanted frames to these and nothing else. One thread
    does all, and no more is held than the frames asked for.

    Args:
        path (str): The file, of any format that FFmpeg knows.

    Raises:
        FileNotFoundError: There is no such file.
        UnreadableVideoError: It is no video, or its end is missing.
        RuntimeError: PyAV is not installed.

    Examples:
        >>> reader = VideoReader("clip.mp4")
        >>> reader.read(range(0, len(reader), 2)).shape
        (150, 256, 340, 3)
    """

    def __init__(self, path: str) -> None:
        self.path = str(path)
        if not os.path.exists(self.path):
            raise FileNotFoundError(
                f"{self.path} does not exist; expected the file of a video"
            )
        if not os.path.isfile(self.path):  # a pipe would be waited for
            raise self._error("is no file; expected a video")
        #: Frames a second, on average.
        self.rate = 0.0
        #: Of the times of :meth:`timed`, in s.
        self.time_base = Fraction(0)
        self._scan()
        if not len(self):
            raise self._error("has no frames; copy it again, or leave it out")

    def __len__(self) -> int:
        return len(self._order) if self._timed else self._decoded_count

    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames in order, each ``(H, W, 3)`` of uint8, RGB, one at a time."""
        return (pixels for _, pixels in self.timed())

    def timed(self) -> Iterator[tuple[int, np.ndarray]]:
        """All frames as by iterating, each after its time, in ``time_base`` s."""
        size = None
        with self._open() as container:
            for number, frame in enumerate(container.decode(self._stream(container))):
                self._check(frame)
                pixels = self._upright(frame)
                size = size or pixels.shape
                if pixels.shape != size:
                    raise self._several_sizes()
                yield frame.pts if self._timed else number, pixels

    def sound(self, codecs: Set[str]) -> Iterator[av.AudioStream | av.Packet]:
        """The first stream of sound of some codecs, and then its packets, if any."""
        with self._open() as container:
            for stream in container.streams.audio:
                if stream.codec_context.codec.canonical_name in codecs:
                    yield stream
                    packets = container.demux(stream)
                    yield from (packet for packet in packets if packet.dts is not None)
                    return

    def _several_sizes(self) -> UnreadableVideoError:
        return self._error(
            "has frames of several sizes; encode it again, or leave it out"
        )

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by their numbers, in any order, some maybe more than once.

        Args:
            indices (Sequence[int]): From 0 to ``len(self) - 1``.

        Returns:
            np.ndarray: ``(N, H, W, 3)`` of uint8, RGB.

        Raises:
            IndexError: There is no such frame.
            UnreadableVideoError: The file is damaged where the frames are.
        """
        indices = np.asarray(indices, np.int64)
        numbers, places = np.unique(indices, return_inverse=True)
        if len(numbers) and not 0 <= numbers[0] <= numbers[-1] < len(self):
            raise IndexError(
                f"{self.path} has {len(self)} frames; asked for number "
                f"{numbers[-1] if numbers[0] >= 0 else numbers[0]}, counted from 0"
            )
        frames = self._read_timed(numbers) if self._timed else None
        if frames is None:
            frames = self._read_counted(numbers)
        if len(numbers) == len(indices) and np.array_equal(numbers, indices):
            return frames
        return frames[places]

    def verify(self) -> None:
        """Decodes all frames, to see whether they can be.

        Raises:
            UnreadableVideoError: One is damaged or missing.
        """
        count = 0
        with self._open() as container:
            for frame in container.decode(self._stream(container)):
                self._check(frame)
                count += 1
        if count < len(self):
            raise self._lack(count)

    @cached_property
    def _to_rgb(self) -> Callable[[av.VideoFrame], av.VideoFrame]:
        return converter("rgb24")

    def _upright(self, frame: av.VideoFrame) -> np.ndarray:
        pixels = self._to_rgb(frame).to_ndarray()
        turns = round(frame.rotation / 90)
        return np.rot90(pixels, turns) if turns else pixels

    def _check(self, frame: av.VideoFrame) -> None:
        if frame.is_corrupt:
            raise self._error("has a damaged frame; copy it again, or leave it out")

    def _lack(self, count: int) -> UnreadableVideoError:
        return self._error(
            f"has {len(self)} frames, of which only {count} can be decoded; copy it "
            "again, or leave it out"
        )

    def _error(self, what: str) -> UnreadableVideoError:
        return UnreadableVideoError(f"{self.path} {what}")

    @contextmanager
    def _open(self) -> Iterator[av.container.InputContainer]:
        """The file, with one stream of moving pictures and one thread to decode it."""
        av = import_av()
        try:
            # a playlist called .mp4 must not send anybody to another machine
            only_files = dict(protocol_whitelist="file")
            with av.open(self.path, container_options=only_files) as container:
                yield container
        except (av.FFmpegError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise self._error(
                f"cannot be read as a video: {why}; copy it again, or leave it out"
            ) from error

    def _stream(self, container: av.container.InputContainer) -> av.VideoStream:
        from av.stream import Disposition

        pictures = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic  # cover of a song
        ]
        if not pictures:
            held = ", ".join(sorted({stream.type for stream in container.streams}))
            only = f", only {held}" if held else ""
            raise self._error(f"has no video in it{only}; leave it out")
        stream = pictures[0]
        stream.thread_count, stream.thread_type = 1, "NONE"
        return stream

    def _scan(self) -> None:
        """Reads the times and kinds of all packets, which are in the order of decoding.

        ``_order[i]`` is the place of the packet of frame i among them.
        """
        with self._open() as container:
            stream = self._stream(container)
            self.rate = float(stream.average_rate or 0)
            self.time_base = stream.time_base
            packets = [
                (p.pts, p.is_keyframe, p.is_discard, p.is_corrupt)
                for p in container.demux(stream)
                if p.size
            ]
            listed = len(getattr(stream, "index_entries", ()))  # PyAV 16 has none
            reorders = stream.codec_context.has_b_frames
        times, keys, left_out, cut = zip(*packets) if packets else ((),) * 4
        whole = len(times) - any(cut)
        if whole < max(listed, len(times)):
            of = f" of {listed}" if listed > whole else ", within one"
            raise self._error(
                f"is cut: it ends after {whole} frames{of}; copy it again, or leave it "
                "out"
            )
        self._timed = None not in times and len({*times}) == len(times)
        if not self._timed or (reorders and [*times] == sorted(times)):
            self._timed = False  # AVI has the order of decoding alone
            self.time_base = 1 / fraction_of(self.rate)
            return
        self._times = np.array(times, np.int64)
        self._keys = np.flatnonzero(keys)
        shown = ~np.array(left_out, bool)
        if len(self._keys):  # what comes before cannot be decoded
            shown &= self._times >= self._times[self._keys].min()
        places = np.flatnonzero(shown)
        self._order = places[np.argsort(self._times[places])]

    @cached_property
    def _decoded_count(self) -> int:
        with self._open() as container:
            return sum(1 for _ in container.decode(self._stream(container)))

    def _read_timed(self, numbers: np.ndarray) -> np.ndarray | None:
        """Frames by the times of their packets; None if these are not what is shown."""
        wanted = self._order[numbers]
        slots = {int(time): slot for slot, time in enumerate(self._times[wanted])}
        frames = _Frames(self, len(numbers))
        last = None
        with self._open() as container:
            stream = self._stream(container)
            for frame in self._decode(container, stream, self._runs(wanted)):
                if frame.pts is None or (last is not None and frame.pts <= last):
                    return None
                last = frame.pts
                self._check(frame)  # what is damaged spreads to later ones
                if frame.pts in slots:
                    frames.put(slots.pop(frame.pts), frame)
        return None if slots else frames.pixels

    def _runs(self, wanted: np.ndarray) -> list[tuple[int, int]]:
        """First and last packets to decode for wanted ones, each first a key frame.

        A frame that is shown after a key frame needs nothing from before it. One that
        is shown before it, but comes after it in the file, does.
        """
        key_times = np.sort(self._times[self._keys])
        by_time = self._keys[np.argsort(self._times[self._keys])]
        runs: list[tuple[int, int]] = []
        for last in np.sort(wanted):
            key = np.searchsorted(key_times, self._times[last], "right") - 1
            first = min(by_time[key], last) if len(by_time) else 0
            if runs and first <= runs[-1][1] + 1:
                runs[-1] = min(first, runs[-1][0]), last
            else:
                runs.append((first, last))
        return runs

    def _decode(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        runs: list[tuple[int, int]],
    ) -> Iterator[av.VideoFrame]:
        """Decodes runs of packets, each by itself."""
        packets = enumerate(packet for packet in container.demux(stream) if packet.size)
        for first, last in runs:
            for place, packet in packets:
                if place >= first and packet.pts >= self._times[first]:
                    yield from stream.decode(packet)
                if place == last:
                    break
            yield from stream.decode(None)
            stream.codec_context.flush_buffers()

    def _read_counted(self, numbers: np.ndarray) -> np.ndarray:
        """Frames by counting all that are decoded."""
        slots = {int(number): slot for slot, number in enumerate(numbers)}
        frames = _Frames(self, len(numbers))
        count = 0
        with self._open() as container:
            for frame in container.decode(self._stream(container)):
                self._check(frame)
                if count in slots:
                    frames.put(slots.pop(count), frame)
                    if not slots:
                        break
                count += 1
        if slots:
            raise self._lack(count)
        return frames.pixels


class _Frames:
    """Where frames of one size are put, upright."""

    def __init__(self, reader: VideoReader, count: int) -> None:
        self.reader, self.count = reader, count
        self.pixels = np.empty((0, 0, 0, 3), np.uint8)

    def put(self, slot: int, frame: av.VideoFrame) -> None:
        pixels = self.reader._upright(frame)
        if not self.pixels.size:
            self.pixels = np.empty((self.count, *pixels.shape), np.uint8)
        if pixels.shape != self.pixels.shape[1:]:
            raise self.reader._several_sizes()
        self.pixels[slot] = pixels


def converter(pixels: str) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """What converts frames to a format of pixels, all by one thread.

    To keep one matters: to make one takes longer than to convert a frame.
    """
    av = import_av()
    # Unless told not to, newer ones start a thread for each core.
    threads = dict(threads=1) if int(av.__version__.split(".")[0]) >= 17 else {}
    reformat = av.video.reformatter.VideoReformatter().reformat
    return partial(reformat, format=pixels, **threads)


def fraction_of(rate: float) -> Fraction:
    """Frames a second as containers note them; 0 is unknown."""
    return Fraction(max(rate or RATE, 1e-3)).limit_denominator(1001)


def import_av() -> Any:
    """PyAV, which only videos need.

    Raises:
        RuntimeError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise RuntimeError(
            "videos are decoded by PyAV, which is not installed: run pip install "
            "'mmswinv2[video]', or pip install av"
        ) from error
    return av
