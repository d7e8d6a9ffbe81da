"""Films of what is found: frames at their times, with sound, whole whatever ends them.

demo/image_demo.py makes them of videos and of cameras.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import torch
from clips import counting_frames, write_clip
from mmdet.structures import DetDataSample
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from mmseg.structures import SegDataSample
from pages import commands, words_of
from PIL import Image
from tiny import DET, ROOT, Tool

from mmswinv2 import apis
from mmswinv2.drawing.films import FilmDrawing
from mmswinv2.video.films import EveryNth, make_film
from mmswinv2.video.reading import UnreadableVideoError, VideoReader

DEMO = "demo/image_demo.py"
CLASSES = tuple(f"class {index}" for index in range(30))
META = dict(classes=CLASSES)
PAGE = (ROOT / "docs" / "demo.md").read_text()
COMMANDS = [line for line in commands(PAGE) if "out/films" in line]


def objects(*labels: int) -> DetDataSample:
    """An object of each label, one beside the other."""
    boxes = [[20.0 * i, 4, 20 * i + 16, 40] for i in range(len(labels))]
    found = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.full((len(labels),), 0.9),
    )
    return DetDataSample(pred_instances=found)


def areas(pixels: np.ndarray) -> SegDataSample:
    """Classes 0 and 1, by how bright a picture is."""
    labels = torch.from_numpy((pixels.mean(-1) > 128).astype(np.int64))
    return SegDataSample(pred_sem_seg=PixelData(data=labels[None]))


def add_sound(path: Path, seconds: float) -> Path:
    """The video with a tone beside it."""
    target = path.with_name(f"loud_{path.name}")
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
        tone = (np.sin(np.arange(int(8000 * seconds)) / 3) * 9000).astype(np.int16)
        for start in range(0, len(tone), 1024):
            part = tone[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            frame.time_base = Fraction(1, 8000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return target


def times(path: Path, kind: str = "video") -> list[Fraction]:
    """When each frame or packet of sound is shown or heard, in s."""
    with av.open(str(path)) as container:
        found = container.decode(**{kind: 0})
        return [frame.pts * frame.time_base for frame in found]


def test_a_film_has_the_times_turn_and_sound_of_the_video(tmp_path: Path) -> None:
    """Where frames come at uneven times, too."""
    shown = [0, 1, 2, 5, 6, 9, 10, 11, 14, 15]
    clip = write_clip(tmp_path / "clip.mp4", 10, rate=10, times=shown, rotation=90)
    clip = add_sound(clip, 1.6)
    made = make_film(VideoReader(str(clip)), tmp_path / "film.mp4", lambda x: x)
    assert (made.frames, made.size, made.fault) == (10, (64, 48), "")
    assert times(tmp_path / "film.mp4") == times(clip)
    heard, expected = times(tmp_path / "film.mp4", "audio"), times(clip, "audio")
    assert heard == expected[: len(heard)]
    assert len(heard) > len(expected) - 3
    film = VideoReader(str(tmp_path / "film.mp4"))
    frames = [*VideoReader(str(clip))]
    assert np.abs(film.read([7])[0].astype(int) - frames[7]).mean() < 6


@pytest.mark.parametrize("name", ["clip.avi", "clip.gif", "clip.mkv"])
def test_a_film_keeps_the_rate_of_any_video(name: str, tmp_path: Path) -> None:
    """Without B-frames, times or sound."""
    codec, pixels = {
        "clip.avi": ("mpeg4", "yuv420p"),
        "clip.gif": ("gif", "rgb8"),
        "clip.mkv": ("libx264", "yuv420p"),
    }[name]
    clip = write_clip(tmp_path / name, 6, rate=10, codec=codec, pix_fmt=pixels)
    video = VideoReader(str(clip))
    made = make_film(video, tmp_path / "film.mp4", lambda x: x, seconds=0.45)
    assert made.frames == 5
    assert [float(t) for t in times(tmp_path / "film.mp4")] == pytest.approx(
        [0, 0.1, 0.2, 0.3, 0.4]
    )


class Source:
    """Frames of which the fourth cannot be had."""

    rate, time_base = 10.0, Fraction(1, 10)

    def __init__(self, count: int) -> None:
        self.count = count

    def timed(self) -> Iterator[tuple[int, np.ndarray]]:
        yield from enumerate(counting_frames(self.count))
        raise UnreadableVideoError("clip.mp4 has a damaged frame")


def test_what_comes_before_a_fault_is_whole(tmp_path: Path) -> None:
    """And without any frame there is no file."""
    film = tmp_path / "film.mp4"
    made = make_film(Source(3), film, lambda x: x)
    assert (made.frames, made.fault) == (3, "clip.mp4 has a damaged frame")
    assert len(times(film)) == 3
    film.unlink()
    with pytest.raises(UnreadableVideoError, match="has a damaged frame"):
        make_film(Source(0), film, lambda x: x)
    assert not [*tmp_path.iterdir()]


def test_frames_between_show_what_was_found_last() -> None:
    """One in three is predicted."""
    seen = []
    look = EveryNth(lambda x: seen.append(x) or len(seen), lambda _, found: found, 3)
    assert [look(np.zeros((2, 2, 3))) for _ in range(7)] == [1, 1, 1, 2, 2, 2, 3]


def test_the_layout_stays_from_frame_to_frame() -> None:
    """Each class keeps its place in the legend, until others need it."""
    drawing = FilmDrawing(META)
    frame = np.zeros((240, 480, 3), np.uint8)
    first, without, again = (
        drawing(frame, objects(*labels)) for labels in ((7, 8), (8,), (8, 7))
    )
    assert first.shape == without.shape == again.shape
    legend = slice(240, None)
    assert np.array_equal(first[legend], again[legend])
    same = (first[legend] == without[legend]).all(-1)
    changed = np.flatnonzero(~same.all(0))
    assert len(changed) > 0 and changed.max() < 120  # the first place alone, now pale
    for labels in ((index, index + 1) for index in range(10, 28, 2)):
        last = drawing(frame, objects(*labels))
    assert last.shape == first.shape
    assert not np.array_equal(last[legend], first[legend])
    assert (
        drawing.describe()
        == "class 8 in 3 frames, class 7 in 2, class 10 in 1, " + ("class 11 in 1")
    )


def test_all_of_a_few_classes_are_named_from_the_start() -> None:
    """And a classifier names its likeliest in the corner."""
    drawing = FilmDrawing(dict(classes=("dark", "light")))
    frame = np.zeros((240, 480, 3), np.uint8)
    drawn = drawing(frame, areas(frame))
    assert drawn.shape == drawing(frame + 255, areas(frame + 255)).shape
    assert drawn.shape[0] > 240
    sample = BaseDataElement(pred_score=torch.tensor([0.25, 0.75]))
    labelled = drawing(frame, sample)
    assert labelled.shape == frame.shape
    assert labelled[:10].any() and not labelled[40:].any()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Arguments of a stand-in that finds dark and light, and its calls."""

    def build(interrupted_at: int = 0) -> list[str]:
        calls = []

        def infer(pixels: np.ndarray, **_: object) -> SegDataSample:
            calls.append(pixels.shape)
            if len(calls) == interrupted_at:
                os.kill(os.getpid(), signal.SIGINT)
            return areas(pixels)

        infer.visualizer = SimpleNamespace(dataset_meta=dict(classes=("dark", "light")))
        infer.calls = calls
        monkeypatch.setattr(apis, "build_inferencer", lambda *_: infer)
        return [DET, "none.pth"]

    return build


def test_pictures_and_videos_of_a_folder_are_drawn(
    tool: Tool, model: Callable[..., list[str]]
) -> None:
    """A GIF that moves is a video, one that does not a picture."""
    folder = Path("given")
    clip = write_clip(folder / "clip.mp4", 6, rate=12)
    write_clip(folder / "moving.gif", 4, codec="gif", pix_fmt="rgb8")
    Image.new("RGB", (48, 32)).save(folder / "still.gif")
    Image.new("RGB", (48, 32)).save(folder / "photo.png")
    (folder / "broken.mp4").write_text("no video")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    args = [*model(), "--every", "2"]
    code, out, err = tool.run(DEMO, folder, *args)
    assert code == 1
    drawn = {path.name for path in Path("out").iterdir()}
    assert drawn == {"clip.mp4", "moving.mp4", "still.jpg", "photo.jpg"}
    (line,) = [line for line in out.splitlines() if line.startswith(str(clip))]
    assert "(6 frames of 64 x 48 px, " in line and "frames/s) -> out/clip.mp4" in line
    assert "in 6 frames" in line
    assert VideoReader("out/clip.mp4").rate == 12
    assert f"{folder / 'broken.mp4'}: cannot be read as a video" in err
    assert f"{folder / 'phone.heic'}: is a HEIC" in err
    assert err.endswith("2 of 6 failed\n")
    assert "--every 0: expected 1" in tool.fails(DEMO, folder, *model(), "--every", 0)


def test_ctrl_c_leaves_the_film_of_what_was_done(
    tool: Tool, model: Callable[..., list[str]]
) -> None:
    """It says so, and nothing else is drawn."""
    clips = [write_clip(Path(name), 12) for name in ("a.mp4", "b.mp4")]
    code, _, err = tool.run(DEMO, *clips, *model(interrupted_at=5))
    assert code == 130
    assert "the film ends with this frame; Ctrl-C again ends at once" in err
    assert "a.mp4: stopped; " in err and "(5 of 12 frames of 64 x 48 px" in err
    assert len(times(Path("out/a.mp4"))) == 5
    assert [path.name for path in Path("out").iterdir()] == ["a.mp4"]


class Capture:
    """What stands for a camera: four frames, and then it is unplugged."""

    def __init__(self, number: int) -> None:
        self.number, self.frames = number, iter(counting_frames(4))

    def isOpened(self) -> bool:
        return self.number == 0

    def get(self, _: int) -> float:
        return 0.0

    def set(self, *_: float) -> None:
        pass

    def read(self) -> tuple[bool, np.ndarray | None]:
        frame = next(self.frames, None)
        return frame is not None, frame

    def release(self) -> None:
        pass


@pytest.mark.parametrize("interrupted_at", [0, 2])
def test_a_camera_makes_a_film_until_it_ends(
    interrupted_at: int,
    tool: Tool,
    model: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C is how one ends it."""
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    out = tool(DEMO, "0", *model(interrupted_at))
    count = interrupted_at or 4
    assert f"({count} frames of 64 x 48 px" in out and "-> out/camera0.mp4" in out
    assert len(times(Path("out/camera0.mp4"))) == count
    code, _, err = tool.run(DEMO, "3", *model())
    assert code == 1 and "3: is no camera that can be opened; " in err


def test_without_pyav_a_video_needs_one_sentence(
    tool: Tool, model: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which names the extra; pictures are drawn."""
    write_clip(Path("given/clip.mp4"), 2)
    Image.new("RGB", (48, 32)).save("given/photo.png")
    monkeypatch.setitem(sys.modules, "av", None)
    code, out, err = tool.run(DEMO, "given", *model())
    assert code == 1 and "-> out/photo.jpg" in out
    assert "given/clip.mp4: videos are decoded by PyAV, which is not installed" in err
    assert "mmswinv2[video]" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page(
    command: str,
    tool: Tool,
    model: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a stand-in for the model."""
    model()
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    write_clip(Path("clip.mp4"), 6)
    Path("configs").symlink_to(ROOT / "configs")
    program, script, *arguments = words_of(command)
    assert program == "python"
    out = tool(script, *arguments)
    assert "-> out/films/" in out
