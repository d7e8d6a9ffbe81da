"""demo/image_demo.py draws photos, one line each."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from tiny import DET, SEG, Tool, load_script, load_tiny, save_weights
from tiny_classifier import write_classifier

DEMO = "demo/image_demo.py"


@pytest.fixture(scope="module", params=[DET, SEG])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Config and random weights of a detector and of a segmentor."""
    folder = tmp_path_factory.mktemp("model")
    cfg = load_tiny(request.param)
    cfg.dump(folder / "config.py")
    weights = save_weights(cfg, folder / "weights.pth")
    return [str(folder / "config.py"), weights]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of different sizes, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, size in (("a.jpg", (48, 64)), ("b.png", (70, 40))):
        pixels = generator.integers(0, 255, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_folder(tool: Tool, photos: Path, model: list[str]) -> None:
    """A line and a picture for each photo in a folder."""
    args = ["--out-dir", "out/new", "--score-thr", "0"]
    out = tool(DEMO, photos, *model, *args)
    lines = [line for line in out.splitlines() if "-> out/" in line]
    assert [line.split(": ")[0] for line in lines] == [
        str(photos / "a.jpg"),
        str(photos / "b.png"),
    ]
    assert lines[0].endswith("s) -> out/new/a.jpg")
    drawn, photo = cv2.imread("out/new/a.jpg"), cv2.imread(str(photos / "a.jpg"))
    assert drawn.shape[1] == 8 * 64  # small photos are drawn larger
    assert cv2.imread("out/new/b.jpg").shape[1] == 7 * 40
    title = len(drawn) - 8 * 48
    assert title > 0
    photo = photo.repeat(8, 0).repeat(8, 1)
    at_top = drawn[18 : 18 + len(photo)].astype(int)
    assert np.abs(at_top - photo).mean() > 1


def test_earlier_pictures_stay(tool: Tool, photos: Path, model: list[str]) -> None:
    """A photo of the same name in another folder gets a picture of its own."""
    other = photos.parent / "other"
    other.mkdir()
    (photos / "a.jpg").rename(other / "a.jpg")
    Path("out").mkdir()
    Path("out/a.jpg").write_text("kept")
    assert "-> out/a_2.jpg" in tool(DEMO, other / "a.jpg", *model)
    assert Path("out/a.jpg").read_text() == "kept"


def test_unreadable_photos(tool: Tool, photos: Path, model: list[str]) -> None:
    """Each gets one line, the others are drawn, and the exit code is 1."""
    (photos / "broken.jpg").write_text("no photo")
    (photos / "empty.png").touch()
    code, out, err = tool.run(DEMO, f"{photos}/*", *model)
    assert code == 1
    for name in ("broken.jpg", "empty.png", "notes.txt"):
        assert f"{photos / name}: cannot be read as an image\n" in err
    assert "Traceback" not in err
    assert out.count("-> out/") == 2


def test_classifier(tool: Tool, photos: Path, class_folders: Path) -> None:
    """A line with the likeliest classes and their scores, and a picture with bars."""
    config = write_classifier(photos.parent, class_folders)
    cfg = load_tiny(config)
    cfg.test_dataloader.dataset.metainfo = dict(classes=("sky, air", "sea", "land"))
    weights = save_weights(cfg, photos.parent / "weights.pth")
    out = tool(DEMO, photos / "a.jpg", config, weights)
    (line,) = [line for line in out.splitlines() if "-> out/" in line]
    found = line.removeprefix(f"{photos / 'a.jpg'}: ").split(" (")[0].split(", ")
    names, scores = zip(*(entry.split() for entry in found))
    assert {*names} == {"sky", "sea", "land"}
    assert sorted(scores, reverse=True) == [*scores]
    assert sum(map(float, scores)) == pytest.approx(1, abs=0.02)
    drawn = cv2.imread("out/a.jpg")
    assert drawn.shape[1] > 8 * 64 + 100


def test_bad_arguments(tool: Tool, photos: Path, model: list[str]) -> None:
    """One message for no photo, no config, no weights, no device."""
    config, weights = model
    assert "no image at 'nowhere'" in tool.fails(DEMO, "nowhere", *model)
    empty = photos / "empty"
    empty.mkdir()
    assert "no image at" in tool.fails(DEMO, empty, *model)
    assert "no config 'none.py'" in tool.fails(DEMO, photos, "none.py", weights)
    assert "does not exist" in tool.fails(DEMO, photos, config, "none.pth")
    assert "not usable" in tool.fails(DEMO, photos, *model, "--device", "tpu")
    assert not Path("out").exists()


def test_describe_detections() -> None:
    """The most frequent classes above the score, and how many others."""
    demo = load_script(DEMO)
    found = InstanceData(
        labels=torch.tensor([0] * 3 + [1] * 2 + [2, 3, 4, 5, 6]),
        scores=torch.tensor([0.9] * 9 + [0.1]),
    )
    sample = DetDataSample(pred_instances=found)
    names = ["person", "dog", "cat", "car", "bus", "cup", "kite"]
    found = demo.describe(sample, names, 0.3)
    assert found == "3 person, 2 dog, 1 cat, 1 car, 2 other"
    assert demo.describe(sample, names, 0.95) == "nothing"
