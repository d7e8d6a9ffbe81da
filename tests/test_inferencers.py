"""Inferencers take pictures in any form, draw, and run in several threads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from PIL import Image
from strange_pictures import KINDS
from tiny import DET, SEG, fresh_globals, load_tiny, save_weights
from tiny_classifier import write_classifier

from mmswinv2.apis import build_inferencer
from mmswinv2.inferencers import NamingPipeline
from mmswinv2.pictures import as_host_picture, read_picture

RGB = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=[DET, SEG, "classifier"])
def inferencer(request, tmp_path_factory, class_folders):
    """Of a checkpoint that a run wrote, with all that it says of its data."""
    folder = tmp_path_factory.mktemp("weights")
    name = request.param
    if name == "classifier":
        name = write_classifier(folder, class_folders)
    cfg = load_tiny(name)
    weights = save_weights(cfg, folder / "weights.pth")
    with fresh_globals():
        yield build_inferencer(cfg, weights, "cpu")


def numbers(result):
    """Boxes, label maps or scores of one call."""
    found = result["predictions"] if isinstance(result, dict) else result
    found = found if isinstance(found, list) else [found]
    return [
        p.pred_score
        if "pred_score" in p
        else p.pred_sem_seg.data
        if "pred_sem_seg" in p
        else p.pred_instances.bboxes
        for p in found
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_files_are_read_as_the_demo_reads_them(inferencer, kind, tmp_path):
    """By whatever host; the prediction knows its file."""
    path = str(kind.save(tmp_path))
    expected = inferencer.pipeline(read_picture(path))["inputs"]
    for given in (path, dict(img_path=path)):
        data = inferencer.pipeline(given)
        assert torch.equal(data["inputs"], expected)
        assert data["data_samples"].img_path == path
    drawn_on = inferencer.pipeline.drawn_on(path, tmp_path)
    assert np.array_equal(cv2.imread(drawn_on), read_picture(path))


def test_what_a_config_reads_in_its_own_way_is_left_to_it(tmp_path):
    """Such as pictures with a fourth channel."""
    path = str(next(kind for kind in KINDS if kind.name == "rgba.png").save(tmp_path))
    load = LoadImageFromFile(color_type="unchanged")
    pipeline = NamingPipeline(
        lambda given: load(dict(img_path=given)), dict(color_type="unchanged")
    )
    assert pipeline(path)["img"].shape[2] == 4
    assert pipeline.drawn_on(path, tmp_path) == path


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(RGB),
        Image.fromarray(RGB).quantize(16),
        Image.fromarray(RGB[..., 0]),
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 200),
        Image.fromarray(RGB[..., 0] > 128),
    ],
    ids=["RGB", "palette", "grey", "grey of 16 bits", "black and white"],
)
def test_pixels_are_those_that_a_file_gives(picture, tmp_path):
    """Whatever the picture is: an array, Pillow's, or its file."""
    path = tmp_path / "picture.png"
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(path, exif=turned)
    expected = cv2.imread(str(path))
    assert expected.shape == (64, 48, 3)
    with Image.open(path) as opened:
        assert np.array_equal(as_host_picture(opened), expected)
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    for same in (array, array[..., None] if array.ndim == 2 else array):
        same = np.rot90(same, -1) if array.shape[:2] == (48, 64) else same
        assert np.array_equal(as_host_picture(same), expected)
    grey = as_host_picture(array, color_type="grayscale")
    assert grey.shape == array.shape[:2]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (np.zeros((1, 3, 8, 8), np.uint8), r"shape \(1, 3, 8, 8\).*as a list"),
        (np.zeros((8, 8, 2), np.uint8), "1, 3"),
        (np.zeros((8, 8)), "float64.*expected uint8, uint16"),
        (torch.zeros(3, 8, 8), "given as Tensor; expected a path"),
        (np.full((8, 8), np.nan, np.float32), "pixels that are NaN or infinite"),
    ],
)
def test_what_is_no_picture_is_refused(picture, expected):
    """With what was given and what is taken."""
    with pytest.raises(ValueError, match=expected):
        as_host_picture(picture)


def test_draws_and_saves(inferencer, tmp_path):
    """Pictures of any kind and size in one list, as each by itself, and a folder."""
    file = tmp_path / "photos" / "photo.png"
    file.parent.mkdir()
    Image.fromarray(RGB).save(file)
    (file.parent / "notes.txt").write_text("no picture")
    pictures = [RGB[..., ::-1], file, RGB[:30, :, 0], Image.fromarray(RGB), str(file)]
    together = inferencer(pictures, batch_size=2, return_datasamples=True)
    for found, picture in zip(numbers(together), pictures):
        (alone,) = numbers(inferencer(picture, return_datasamples=True))
        # MMDetection pads a batch to its largest picture
        assert inferencer.scope == "mmdet" or torch.equal(found, alone)
    same = [numbers(together)[i] for i in (1, 3, 4)]
    if inferencer.scope != "mmdet":
        assert all(torch.equal(numbers(together)[0], other) for other in same)
    drawn = inferencer(file.parent, out_dir=str(tmp_path), return_vis=True)
    picture = np.asarray(drawn["visualization"])
    assert picture.std() > 10
    assert (tmp_path / "vis/photo.png").is_file()
    of_array = inferencer(RGB[..., ::-1], return_vis=True)["visualization"]
    assert np.array_equal(np.asarray(of_array), picture)
    with pytest.raises(FileNotFoundError, match="has no pictures"):
        inferencer(tmp_path / "vis" / "..", out_dir=str(tmp_path))


def test_a_picture_that_cannot_be_prepared_is_named(inferencer, tmp_path):
    """By its path or its size, whatever fails."""
    file = tmp_path / "broken.jpg"
    file.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=f"^{file} cannot be read as an image$"):
        inferencer([RGB[..., ::-1], file])
    if inferencer.scope != "mmpretrain":  # whose pictures are cropped to a square
        with pytest.raises(ValueError, match="a picture of 3000 x 1 px cannot be"):
            inferencer(np.zeros((1, 3000, 3), np.uint8))


def test_several_threads(inferencer, tmp_path):
    """Predictions and pictures are those of one thread after the other."""
    pictures = [RGB[: 16 + 2 * i, : 64 - i] for i in range(12)]

    def run(picture):
        return inferencer(picture, return_vis=True, out_dir=str(tmp_path))

    alone = [run(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(alone, threads.map(run, pictures)):
            for a, b in zip(one["visualization"], other["visualization"]):
                assert np.array_equal(a, b)
    assert len([*Path(tmp_path, "vis").iterdir()]) == 24
