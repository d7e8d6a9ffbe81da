"""Pictures of any kind are read as people see them, or a sentence says why not."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from strange_pictures import BAD, KINDS, Strange

from mmswinv2 import pictures
from mmswinv2.pictures import as_host_picture, read_picture


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_file_gives_what_is_seen(kind: Strange, tmp_path: Path) -> None:
    """And so does the picture that Pillow opens, which stays as it was."""
    path, seen = kind.save(tmp_path), kind.seen().astype(int)
    pixels = read_picture(path)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    assert pixels.shape == seen.shape
    assert np.abs(pixels[..., ::-1] - seen).max() <= kind.off
    greys = as_host_picture(pixels, color_type="grayscale")
    assert greys.shape == seen.shape[:2]
    try:
        opened = Image.open(path)
    except UnidentifiedImageError:  # OpenCV alone reads it
        return
    with opened:
        opened.load()
        before = opened.tobytes()
        assert np.array_equal(as_host_picture(opened), pixels)
        assert opened.tobytes() == before


@pytest.mark.parametrize("name", ["rgb16.png", "rgba.png", "rgba16.png", "grey16.tif"])
def test_an_array_gives_what_its_file_gives(name: str, tmp_path: Path) -> None:
    """Of 16 bits and of four channels, as OpenCV reads them."""
    kind = next(kind for kind in KINDS if kind.name == name)
    path = kind.save(tmp_path)
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert array.dtype == np.uint16 or array.shape[2] == 4
    off = np.abs(as_host_picture(array).astype(int) - read_picture(path))
    assert off.max() <= 1
    if array.dtype == np.uint8:
        floats = as_host_picture(array.astype(np.float32))
        assert np.abs(floats - read_picture(path)).max() < 1


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_a_file_that_gives_nothing_is_refused_with_the_reason(
    kind: Strange, tmp_path: Path
) -> None:
    with pytest.raises(ValueError) as caught:
        read_picture(kind.save(tmp_path))
    assert re.fullmatch(kind.seen, str(caught.value))


def test_a_picture_of_pillow_is_refused_with_the_reason() -> None:
    """In a sentence with a subject."""
    with pytest.raises(ValueError, match="a picture has numbers from 1000 to 1000 as"):
        as_host_picture(Image.new("F", (4, 4), 1000))


def test_large_pictures_are_no_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that Pillow refuses, whose limit stays for all other code."""
    path = KINDS[0].save(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    monkeypatch.setattr(pictures, "ROWS", 7)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    pixels = read_picture(path)
    assert Image.MAX_IMAGE_PIXELS == 500
    assert np.abs(pixels[..., ::-1] - KINDS[0].seen().astype(int)).max() <= 8
