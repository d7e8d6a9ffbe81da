"""demo/image_demo.py draws photos, one line each."""

import errno
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny import DET, SEG, Tool, load_tiny, save_weights
from tiny_classifier import write_classifier

from mmswinv2.apis import build_inferencer
from mmswinv2.cli import preflight

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


def png(height: int, width: int) -> bytes:
    """A file of noise."""
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()


BAD = {
    "broken.jpg": (b"no photo", "cannot be read as an image"),
    "cut.png": (png(40, 40)[:1000], "is damaged or cut off: .*; copy it again"),
    "empty.png": (b"", "is an empty file; copy it again"),
    "zeros.bmp": (bytes(100), "cannot be read as an image"),
    "thin.png": (png(1, 3000), "a picture of 3000 x 1 px cannot be prepared .*resize"),
}


def test_bad_photos_are_named_and_the_others_drawn(
    tool: Tool, photos: Path, model: list[str]
) -> None:
    """Each gets one line, they are counted, and the exit code is 1."""
    for name, (content, _) in BAD.items():
        (photos / name).write_bytes(content)
    (photos / "folder.jpg").mkdir()
    (photos / "link.jpg").symlink_to("nowhere")
    os.mkfifo(photos / "pipe.jpg")
    expected = {name: reason for name, (_, reason) in BAD.items()}
    expected["folder.jpg"] = "cannot be read: Is a directory"
    expected["link.jpg"] = "cannot be read: No such file or directory"
    expected["pipe.jpg"] = "is a pipe, no file"
    for given, total in ((photos, 10), (f"{photos}/*", 11)):
        code, out, err = tool.run(DEMO, given, *model)
        assert code == 1 and "Traceback" not in err
        for name, reason in expected.items():
            assert re.search(f"^{photos / name}: {reason}.*$", err, re.MULTILINE)
        assert out.count("-> out/") == 2
        assert err.endswith(f"\n{total - 2} of {total} failed\n")
        expected["notes.txt"] = "cannot be read as an image"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cmyk.jpg", {}),
        ("grey16.png", {}),
        ("moving.png", {"save_all": True}),
        ("pages.tif", {"save_all": True}),
    ],
)
def test_unusual_photos_are_drawn(
    tool: Tool, photos: Path, model: list[str], name: str, options: dict
) -> None:
    """Of several frames the first."""
    picture = Image.open(photos / "a.jpg")
    if name == "cmyk.jpg":
        picture = picture.convert("CMYK")
    if name == "grey16.png":
        picture = Image.fromarray(np.array(picture)[..., 0].astype(np.uint16) << 8)
    if options:
        options = options | dict(append_images=[Image.new("RGB", picture.size)])
    picture.save(photos / name, **options)
    usual = tool(DEMO, photos / "a.jpg", *model).split(": ")[1].split(" (")[0]
    found = tool(DEMO, photos / name, *model).split(": ")[1].split(" (")[0]
    assert options == {} or found == usual
    assert cv2.imread(f"out/{Path(name).stem}.jpg").shape[1] == 8 * 64


def test_a_folder_that_cannot_be_written_to_is_named(
    tool: Tool, photos: Path, model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first picture, and when the disk is full."""
    Path("out").write_text("a file")
    message = tool.fails(DEMO, photos, *model)
    assert message.startswith("--out-dir out is no folder that can be written to")

    def full(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    message = tool.fails(DEMO, photos, *model, "--out-dir", "new")
    assert message.endswith("new/a.jpg could not be saved: No space left on device\n")
    assert not [*Path("new").iterdir()]


def test_names_that_do_not_fit_the_head_are_refused(
    tool: Tool, photos: Path, model: list[str]
) -> None:
    """With both numbers, in the demo and in a test of the checkpoint."""
    config, weights = model
    checkpoint = torch.load(weights)
    names = checkpoint["meta"]["dataset_meta"]["classes"]
    expected = rf"names of 2 classes, but .*\(model\..*num_classes={len(names)}"
    checkpoint["meta"]["dataset_meta"]["classes"] = names[:2]
    torch.save(checkpoint, photos / "few.pth")
    message = tool.fails(DEMO, photos, config, photos / "few.pth")
    assert re.match(f"{photos / 'few.pth'} has {expected}", message)
    cfg = Config.fromfile(config)
    with pytest.raises(ValueError, match=expected):
        preflight.check_model(cfg, trained=str(photos / "few.pth"))
    del checkpoint["meta"]["dataset_meta"]
    torch.save(checkpoint, photos / "none.pth")
    cfg.test_dataloader.dataset.metainfo = dict(classes=names[:2])
    with pytest.raises(ValueError, match=f"test_dataloader.dataset has {expected}"):
        build_inferencer(cfg, photos / "none.pth", "cpu")
    checkpoint["meta"]["dataset_meta"] = dict(classes=len(names))
    torch.save(checkpoint, photos / "number.pth")
    with pytest.raises(ValueError, match=r"has a int as names of classes .*a list"):
        build_inferencer(cfg, photos / "number.pth", "cpu")


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
    assert "no image or video at 'nowhere'" in tool.fails(DEMO, "nowhere", *model)
    empty = photos / "empty"
    empty.mkdir()
    assert "no image or video at" in tool.fails(DEMO, empty, *model)
    assert "no config 'none.py'" in tool.fails(DEMO, photos, "none.py", weights)
    assert "does not exist" in tool.fails(DEMO, photos, config, "none.pth")
    assert "not usable" in tool.fails(DEMO, photos, *model, "--device", "tpu")
    assert not Path("out").exists()


def test_a_lack_of_memory_names_what_helps(
    tool: Tool, photos: Path, model: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr("mmswinv2.inferencers.predict", predict)
    code, _, message = tool.run(DEMO, photos, *model)
    assert code == 1
    assert ": takes more memory than is free; --tile auto cuts" in message
