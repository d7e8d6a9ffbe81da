"""demo/onnx_demo.py: pictures as OpenCV and the other demo have them."""

from pathlib import Path
from types import ModuleType

import cv2
import mmcv
import numpy as np
import pytest
from strange_pictures import BAD, KINDS, Strange
from tiny import load_script


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return load_script("demo/onnx_demo.py")


@pytest.mark.parametrize("seed", range(40))
def test_its_filter_gives_the_pixels_of_opencv(demo: ModuleType, seed: int):
    """Larger, smaller, by exactly two, and along one axis."""
    rng = np.random.default_rng(seed)
    old, new = rng.integers(1, 90, (2, 2))
    if seed % 4 == 0:
        old = 2 * new
    if seed % 4 == 1:
        new[0] = old[0]
    picture = rng.integers(0, 256, (*old, 3), np.uint8)
    expected = cv2.resize(picture, new[::-1].tolist(), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(demo.bilinear(picture, tuple(new)), expected)


@pytest.mark.parametrize("size", [(100, 333), (333, 100), (600, 20)])
def test_a_scale_gives_the_size_that_mmcv_gives(
    demo: ModuleType, size: tuple[int, int]
):
    step = dict(type="Resize", scale=[1333, 800], keep_ratio=True)
    width, height = mmcv.rescale_size(size[::-1], (1333, 800))
    assert demo.new_size(step, *size) == (height, width)


@pytest.mark.parametrize("edge", ["short", "long"])
@pytest.mark.parametrize("size", [(50, 80), (80, 50), (60, 60)])
def test_an_edge_gives_the_size_that_mmpretrain_gives(
    demo: ModuleType, edge: str, size: tuple[int, int]
):
    transforms = pytest.importorskip("mmpretrain.datasets.transforms")
    resize = transforms.ResizeEdge(scale=40, edge=edge)
    expected = resize(dict(img=np.zeros((*size, 3), np.uint8)))["img"].shape[:2]
    step = dict(type="ResizeEdge", scale=40, edge=edge)
    assert demo.new_size(step, *size) == expected


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_strange_picture_is_read_as_people_see_it(
    demo: ModuleType, kind: Strange, tmp_path: Path
):
    path = kind.save(tmp_path)
    if kind.name == "float_colours.tif":  # that OpenCV alone reads
        with pytest.raises(ValueError, match="cannot be read as an image"):
            demo.read(path)
        return
    pixels, seen = demo.read(path), kind.seen()
    assert pixels.dtype == np.uint8 and pixels.shape == seen.shape
    assert np.abs(pixels.astype(int) - seen).max() <= kind.off


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_a_bad_picture_is_told_in_one_sentence(
    demo: ModuleType, kind: Strange, tmp_path: Path
):
    with pytest.raises(ValueError, match=r"cannot be read|has pixels that") as told:
        demo.read(kind.save(tmp_path))
    assert "\n" not in str(told.value)
