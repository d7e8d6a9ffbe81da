"""demo/video_demo.py names videos, draws strips and films; the inferencer behind it."""

import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tiny import Tool, load_tiny, save_weights
from tiny_video import CLASSES, write_video_classifier, write_videos

from mmswinv2.apis import build_inferencer
from mmswinv2.video.reading import VideoReader
from mmswinv2.video.writing import write_video

DEMO = "demo/video_demo.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Config and random weights."""
    folder = tmp_path_factory.mktemp("model")
    config = write_video_classifier(folder, root)
    return [str(config), save_weights(load_tiny(config), folder / "weights.pth")]


def test_videos_are_named_and_drawn(tool: Tool, root: Path, model: list[str]) -> None:
    """A line, a strip and a film for each, of files and of folders; bad ones too."""
    folder = root / "val/red"
    (folder / "none.mp4").write_text("no video")
    (folder / "notes.txt").write_text("not looked at")
    given = [folder, root / "val/blue/0.mp4", "missing.mp4"]
    code, out, err = tool.run(DEMO, *given, *model, "--views", "1x1")
    (folder / "none.mp4").unlink()
    assert code == 1 and "Traceback" not in err
    lines = [line for line in out.splitlines() if "-> out/" in line]
    assert [line.split(": ")[0] for line in lines] == [
        str(folder / "0.mp4"),
        str(folder / "1.mp4"),
        str(root / "val/blue/0.mp4"),
    ]
    assert lines[0].endswith("-> out/0.jpg, out/0.mp4")
    assert lines[2].endswith("-> out/0_2.jpg, out/0_2.mp4")
    found = re.findall(r"(\w+) (\d\.\d\d)", lines[0].split(": ")[1])
    assert {name for name, _ in found} == {*CLASSES}
    assert sum(float(score) for _, score in found) == pytest.approx(1, abs=0.02)
    assert re.search(rf"^{folder / 'none.mp4'}: cannot be read as a video", err, re.M)
    assert re.search("^missing.mp4: does not exist", err, re.M)
    assert err.endswith("2 of 5 videos failed\n")
    strip = cv2.imread("out/0.jpg")
    assert strip.shape[1] > 6 * 250  # frames beside each other, and bars
    film, video = VideoReader("out/0.mp4"), VideoReader(str(folder / "0.mp4"))
    assert (len(film), film.rate) == (len(video), video.rate)
    drawn, plain = film.read([5])[0].astype(int), video.read([5])[0].astype(int)
    assert drawn.shape == plain.shape
    assert np.abs(drawn - plain)[-16:].mean() < 8  # the frame
    assert np.abs(drawn - plain)[:12].mean() > 50  # the label


def test_bad_arguments_are_named(tool: Tool, root: Path, model: list[str]) -> None:
    """Before any video is looked at."""
    clip = root / "val/red/0.mp4"
    message = tool.fails(DEMO, clip, *model, "--views", "4x2")
    assert message.startswith("--views 4x2: expected clips x crops, such as 4x3")
    (root / "empty").mkdir()
    assert "has no videos" in tool.fails(DEMO, root / "empty", *model)
    images = "swinv2-t-p4-w8_16xb64-300e_in1k-256px"
    message = tool.fails(DEMO, clip, images, model[1])
    assert "takes no videos; demo/image_demo.py" in message
    Path("photo.jpg").touch()
    message = tool.fails("demo/image_demo.py", "photo.jpg", *model)
    assert "takes no pictures; demo/video_demo.py" in message
    message = tool.fails(DEMO, clip, model[1], model[1])
    assert message.startswith(f"{model[1]} is no config")
    Path("out").write_text("a file")
    assert "no folder that can be written to" in tool.fails(DEMO, clip, *model)


def test_inferencer_takes_files_lists_and_folders(
    root: Path, model: list[str], tmp_path: Path
) -> None:
    """Several at once as one by one; pictures where they are wished."""
    inferencer = build_inferencer(model[0], model[1], "cpu")
    folder = root / "val/green"
    together = inferencer(folder, batch_size=2, out_dir=tmp_path, return_vis=True)
    assert len(together["predictions"]) == len(together["visualization"]) == 2
    assert {path.name for path in (tmp_path / "vis").iterdir()} == {"0.png", "1.png"}
    for found, name in zip(together["predictions"], ("0.mp4", "1.mp4")):
        (alone,) = inferencer([folder / name])["predictions"]
        assert alone["pred_class"] == found["pred_class"] in CLASSES
        np.testing.assert_allclose(
            alone["pred_scores"], found["pred_scores"], atol=1e-5
        )
    with pytest.raises(ValueError, match="a video is given as ndarray; expected its"):
        inferencer(np.zeros((4, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("size", [(41, 57), (40, 56)])
def test_films_have_all_frames(tmp_path: Path, size: tuple[int, int]) -> None:
    """Of odd sizes, too, which are made even; at a rate that is no whole number."""
    frames = np.full((7, *size, 3), 90, np.uint8)
    write_video(tmp_path / "film.mp4", frames, 29.97)
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert float(film.streams.video[0].average_rate) == pytest.approx(29.97)
    video = VideoReader(str(tmp_path / "film.mp4"))
    assert len(video) == 7 == sum(1 for _ in video)
    shown = video.read([6])[0]
    assert shown.shape[:2] == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert np.abs(shown.astype(int) - 90).max() < 6
