"""Pixels of pictures of any kind, from files, arrays and Pillow, as people see them."""
# H W size in px

from __future__ import annotations

import io
import threading
from collections.abc import Set
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.fileio import get
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mmswinv2.planning.free_memory import free_memory

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv"),
    *(".mpg", ".mpeg", ".ts", ".3gp", ".gif"),
}
# Of phones: HEIC, which neither Pillow nor OpenCV reads, and AVIF, which not all do.
PHONE_SUFFIXES = {".heic", ".heif", ".avif"}
PHONE_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
Size = tuple[int, int]
MUCH = 2**28  # bytes, of which it is asked whether they are free
ROWS = 512  # that are converted at once, so that nothing is held twice
_opening = threading.Lock()


def as_host_picture(picture: object, *, color_type: str = "color") -> Any:
    """A picture as the hosts' pipelines take it, with the pixels of a file of it.

    Args:
        picture (str | Path | ndarray | PIL.Image | dict): File or URL; pixels ``(H,
            W)``, grey, or ``(H, W, C)``: grey, BGR or BGRA as OpenCV reads them, of 8
            or 16 bits; a picture of Pillow. A dict is the host's own form.
        color_type (str): Of the pipeline's ``LoadImageFromFile``: 'color', 'grayscale'
            or 'unchanged'. Defaults to 'color'.

    Returns:
        str | ndarray | dict: Paths and dicts as they are, pixels as ``(H, W, 3)`` in
        BGR, or ``(H, W)`` for a pipeline in greys.

    Raises:
        ValueError: It is none of these, or its pixels have another shape or type.
    """
    if isinstance(picture, (str, dict)):
        return picture
    if isinstance(picture, Path):
        return str(picture)
    if isinstance(picture, Image.Image):
        try:
            picture = _pixels(picture)
        except ValueError as error:
            raise ValueError(f"a picture {error}") from error
    if not isinstance(picture, np.ndarray):
        raise ValueError(
            f"a picture is given as {type(picture).__name__}; expected a path or URL, "
            "an array, a picture of Pillow, or a list of these"
        )
    if picture.dtype == np.float32 and not np.isfinite(picture).all():
        raise ValueError(
            "a picture has pixels that are NaN or infinite; expected numbers from 0 to "
            "255"
        )
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.ndim not in (2, 3) or channels not in (1, 3, 4) or not picture.size:
        raise ValueError(
            f"a picture is an array of shape {picture.shape}; expected (H, W), or "
            "(H, W, C) with 1, 3 (BGR) or 4 (BGRA) channels; give several as a list"
        )
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    elif picture.dtype not in (np.uint8, np.float32):
        raise ValueError(
            f"a picture is an array of {picture.dtype}; expected uint8, uint16, or "
            "float32 from 0 to 255"
        )
    if color_type.startswith(("color", "grayscale")):
        if channels == 4:
            picture, channels = _on_white(picture), 3
        kind = "GRAY" if color_type.startswith("gray") else "BGR"
        given = {1: "GRAY", 3: "BGR"}[channels]
        if given != kind:
            picture = cv2.cvtColor(picture, getattr(cv2, f"COLOR_{given}2{kind}"))
        elif kind == "GRAY":
            picture = picture.reshape(picture.shape[:2])
    return np.ascontiguousarray(picture)


def read_picture(path: str | Path, *, backend_args: dict | None = None) -> np.ndarray:
    """Pixels (H, W, 3) of a file or URL in OpenCV's order BGR, as a viewer shows them.

    Of several frames the first, turned as its EXIF data say; of 16 bits the upper 8; of
    CMYK what screens without a colour profile show; transparent parts on white. Colour
    profiles are not followed, as the hosts follow none in training.

    Args:
        path (str | Path): The file, or a URL that mmengine reads.
        backend_args (dict, optional): Of mmengine's file backend.

    Raises:
        ValueError: It cannot be read or is no picture, or not all of one. The message
            begins with the reason, not with the path.
    """
    path = str(path)
    if "://" not in path and Path(path).is_fifo():  # it may never have a writer
        raise ValueError("is a pipe, no file")
    try:
        content = get(path, backend_args=backend_args)
    except OSError as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot be read: {reason}") from error
    return decode_picture(content)


def decode_picture(content: bytes) -> np.ndarray:
    """As :func:`read_picture`, of what a file has in it."""
    if not content:
        raise ValueError("is an empty file; copy it again")
    try:
        opened = _open(content)
    except UnidentifiedImageError:  # OpenCV knows other formats
        return as_host_picture(_decode_by_opencv(content))
    with opened:
        _check_memory(*opened.size)
        try:
            opened.load()
        except Exception as error:  # Pillow raises many kinds over damaged files
            reason = f"is damaged or cut off: {error}; copy it again"
            raise ValueError(reason) from error
        return as_host_picture(_pixels(opened))


def picture_size(path: str, *, backend_args: dict | None = None) -> Size | None:
    """(H, W) of a file or URL as its header says, in px; None where that is not known.

    It may yet be turned by its EXIF data.
    """
    try:
        with _open(get(path, backend_args=backend_args)) as opened:
            return opened.height, opened.width
    except Exception:  # what is wrong with it is told where it is read
        return None


def _open(content: bytes) -> Image.Image:
    """Opened by Pillow, which else refuses large pictures as if they were attacks."""
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(content))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_memory(width: int, height: int) -> None:
    """Raises ValueError if Pillow's pixels and ours would not fit."""
    needed = width * height * (4 + 3)
    if needed > MUCH and needed > (free := free_memory(torch.device("cpu"))):
        raise ValueError(
            f"is {width} x {height} px, which takes {needed / 2**30:.1f} GiB of memory "
            f"to read; {free / 2**30:.1f} are free"
        )


def _decode_by_opencv(content: bytes) -> np.ndarray:
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        reason = "cannot be read as an image"
        if content[4:8] == b"ftyp" and content[8:12] in PHONE_BRANDS:
            reason = "is a HEIC or AVIF picture, which is not read here; save it as "
            reason += "JPEG or PNG"
        raise ValueError(reason)
    return _from_floats(pixels) if pixels.dtype == np.float32 else pixels


def _pixels(picture: Image.Image) -> np.ndarray:
    """Of a picture of Pillow: greys or BGR, of 8 or 16 bits."""
    picture.load()
    try:
        if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
    except Exception:  # EXIF data are broken more often than pictures are
        pass
    if picture.mode == "F":
        return _from_floats(np.asarray(picture))
    if picture.mode.startswith("I"):  # of 16 bits, whatever Pillow holds them in
        pixels = np.asarray(picture)
        if pixels.min() < 0 or pixels.max() >= 2**16:
            raise ValueError(
                f"has whole numbers from {pixels.min()} to {pixels.max()} as pixels, "
                "expected 8 or 16 bits; save it with 8"
            )
        return pixels.astype(np.uint16)
    return _bgr(picture)


def _bgr(picture: Image.Image) -> np.ndarray:
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    for top in range(0, height, ROWS):
        band = picture.crop((0, top, width, min(top + ROWS, height)))
        rgb = np.asarray(band.convert(mode))
        rgb = _on_white(rgb) if mode == "RGBA" else rgb
        pixels[top : top + ROWS] = rgb[..., ::-1]
    return pixels


def _from_floats(pixels: np.ndarray) -> np.ndarray:
    """8 bits of numbers from 0 to 1, as TIFF has them, or from 0 to 255."""
    low, high = np.nanmin(pixels), np.nanmax(pixels)
    if not (low >= 0 and high <= 255 and np.isfinite(pixels).all()):
        raise ValueError(
            f"has numbers from {low:g} to {high:g} as pixels, or some that are NaN; "
            "expected 0 to 1, or 0 to 255; save it with 8 bits"
        )
    return (pixels * (255 if high <= 1 else 1)).round().astype(np.uint8)


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """Three channels of four, as a page shows what is transparent."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    mixed = pixels[..., :3] * alpha + 255 * (1 - alpha)
    return mixed if pixels.dtype == np.float32 else mixed.round().astype(np.uint8)


def find_files(folder: str | Path, suffixes: Set[str], what: str) -> list[Path]:
    """Files of some kind in a folder, sorted.

    Args:
        folder (str | Path): Where to look.
        suffixes (Set[str]): Of their names, in small letters.
        what (str): They are.

    Raises:
        FileNotFoundError: There is none.
    """
    files = sorted(Path(folder).iterdir())
    found = [file for file in files if file.suffix.lower() in suffixes]
    if not found:
        raise FileNotFoundError(
            f"{folder} has no {what} ({' '.join(sorted(suffixes))}) in it"
        )
    return found
