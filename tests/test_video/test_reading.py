"""Frames by number, equal to those of a full decode, and files that have none."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import counting_frames, write_clip

from mmswinv2.video.reading import UnreadableVideoError, VideoReader

COUNT = 40
OPEN = {"x264-params": "open-gop=1:scenecut=0", "preset": "medium", "bf": "3"}
KINDS = {
    "closed groups.mp4": {},
    "open groups.mp4": dict(options=OPEN),
    "no key frames.mp4": dict(options={"intra-refresh": "1", "bf": "0"}),
    "varying rate.mp4": dict(times=[n * n for n in range(COUNT)]),
    "late start.ts": dict(times=[100 + n for n in range(COUNT)]),
    "no count.mkv": {},
    "order of decoding.avi": {},
    "no times.h264": {},
    "ten bits.mp4": dict(pix_fmt="yuv420p10le"),
    "full range.mp4": dict(pix_fmt="yuvj420p"),
    "transparent.webm": dict(codec="libvpx-vp9", pix_fmt="yuva420p"),
}


def decode_all(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return np.stack(frames)


@pytest.mark.parametrize("name", KINDS)
def test_any_frames_are_those_of_a_full_decode(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, COUNT, **KINDS[name])
    reader, whole = VideoReader(str(path)), decode_all(path)
    assert len(reader) == len(whole) == COUNT
    for number in range(COUNT):  # among them, both sides of each border
        assert np.array_equal(reader.read([number])[0], whole[number]), number
    mixed = [39, 0, 11, 12, 13, 12, 25, 24, 0, 23]
    assert np.array_equal(reader.read(mixed), whole[mixed])
    reader.verify()


def test_frames_are_what_was_written(tmp_path: Path) -> None:
    """Colours in RGB: the decoder loses little of smooth pictures."""
    frames = np.zeros((4, 48, 64, 3), np.uint8)
    frames[:, :, :, 0] = 200
    frames[2, :, :, 2] = 150
    path = write_clip(tmp_path / "a.mp4", frames)
    found = VideoReader(str(path)).read(range(4))
    assert np.abs(found.astype(int) - frames).max() < 8


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (-90, -1), (180, 2)])
def test_rotated_video_is_upright(rotation: int, turns: int, tmp_path: Path) -> None:
    frames = counting_frames(3)
    path = write_clip(tmp_path / "phone.mp4", frames, rotation=rotation)
    upright = VideoReader(str(path)).read([0, 2])
    stored = decode_all(path)[[0, 2]]
    assert np.array_equal(upright, np.rot90(stored, turns, axes=(1, 2)))


def test_frames_outside_an_edit_list_have_no_number(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", COUNT)
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12  # after version, flags and count
    length, start = struct.unpack_from(">Ii", content, place)
    ticks = 15360 // 30  # of the stream's clock, a frame
    struct.pack_into(">Ii", content, place, length // 2, start + 15 * ticks)
    path.write_bytes(content)
    reader, whole = VideoReader(str(path)), decode_all(path)
    assert len(reader) == len(whole) == COUNT // 2
    assert np.array_equal(reader.read(range(COUNT // 2)), whole)


def test_a_number_beyond_the_end_is_refused(tmp_path: Path) -> None:
    reader = VideoReader(str(write_clip(tmp_path / "a.mp4", 5)))
    assert reader.read([]).shape[0] == 0
    with pytest.raises(IndexError, match="has 5 frames; asked for number 5"):
        reader.read([0, 5])


def write_audio(path: Path, *, cover: bool = False) -> None:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        if cover:
            picture = container.add_stream("mjpeg", rate=1, options={"strict": "-1"})
            picture.width = picture.height = 32
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        wave = np.zeros((1, 4096), np.float32)
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
        if cover:
            pixels = np.zeros((32, 32, 3), np.uint8)
            image = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(picture.encode(image))
            container.mux(picture.encode())


def write_nothing(path: Path) -> None:
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def write_cut(path: Path) -> None:
    """A file whose index is at its front, and whose end is missing."""
    whole = path.with_name("whole.mp4")
    write_clip(path.with_name("plain.mp4"), 60)
    with (
        av.open(str(path.with_name("plain.mp4"))) as source,
        av.open(str(whole), "w", options={"movflags": "faststart"}) as target,
    ):
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])


def write_headless(path: Path) -> None:
    content = write_clip(path, 30).read_bytes()
    path.write_bytes(content[: content.index(b"moov")])


def write_damaged(path: Path) -> None:
    content = bytearray(write_clip(path, counting_frames(30, 96, 128)).read_bytes())
    start = content.index(b"mdat")
    end = content.index(b"moov")
    for place in range((start + end) // 2, end - 4, 50):
        content[place] ^= 255
    path.write_bytes(content)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (Path.touch, "cannot be read as a video"),
    "text": (lambda path: path.write_text("hello\n" * 99), "cannot be read"),
    "playlist": (
        lambda path: path.write_text("ffconcat version 1.0\nfile other.mp4\n"),
        "cannot be read",
    ),
    "folder": (Path.mkdir, "is no file"),
    "pipe": (os.mkfifo, "is no file"),
    "audio": (write_audio, "has no video in it, only audio"),
    "cover": (lambda p: write_audio(p, cover=True), "has no video in it, only audio"),
    "no frames": (write_nothing, "has no frames"),
    "cut": (write_cut, "is cut: it ends after 4. frames"),
    "no index": (write_headless, "cannot be read"),
    "damaged": (write_damaged, "has a damaged frame"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_no_video_is_refused_by_name(fault: str, tmp_path: Path) -> None:
    write, message = BAD[fault]
    path = tmp_path / "it.mp4"
    write(path)
    with pytest.raises(UnreadableVideoError, match=f"^{path} ({message})"):
        VideoReader(str(path)).read([25])


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/a.mp4 does not exist"):
        VideoReader(str(tmp_path / "a.mp4"))


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    pixels = counting_frames(1)[0]
    path.write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1])
    assert np.array_equal(VideoReader(str(path)).read([0])[0], pixels)


def test_without_pyav_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    path = tmp_path / "a.mp4"
    path.touch()
    with pytest.raises(RuntimeError, match=r"mmswinv2\[video\]"):
        VideoReader(str(path))
