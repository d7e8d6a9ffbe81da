"""Pixels of pictures of any kind, from files, arrays and Pillow."""

from __future__ import annotations

import io
from collections.abc import Set
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv"),
    *(".mpg", ".mpeg", ".ts", ".3gp", ".gif"),
}


def as_host_picture(
    picture: object, *, color_type: str = "color"
) -> str | np.ndarray | dict:
    """A picture as the hosts' pipelines take it, with the pixels of a file of it.

    Args:
        picture (str | Path | ndarray | PIL.Image | dict): File or URL; pixels ``(H,
            W)``, grey, or ``(H, W, C)``: grey, BGR or BGRA as OpenCV reads them, of 8
            or 16 bits; a picture of Pillow, whose EXIF rotation is followed. A dict is
            the host's own form.
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
        picture = _pixels(ImageOps.exif_transpose(picture))
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
        picture = (picture >> 8).astype(np.uint8)  # as OpenCV reads such files
    elif picture.dtype not in (np.uint8, np.float32):
        raise ValueError(
            f"a picture is an array of {picture.dtype}; expected uint8, uint16, or "
            "float32 from 0 to 255"
        )
    if color_type.startswith(("color", "grayscale")):
        kind = "GRAY" if color_type.startswith("gray") else "BGR"
        given = {1: "GRAY", 3: "BGR", 4: "BGRA"}[channels]
        if given != kind:
            picture = cv2.cvtColor(picture, getattr(cv2, f"COLOR_{given}2{kind}"))
        elif kind == "GRAY":
            picture = picture.reshape(picture.shape[:2])
    return np.ascontiguousarray(picture)


def read_picture(path: str | Path) -> np.ndarray:
    """Pixels (H, W, 3) of a file in OpenCV's order BGR, of its first frame.

    Raises:
        ValueError: It cannot be read or is no picture, or not all of one. The message
            begins with the reason, not with the path.
    """
    if Path(path).is_fifo():  # it may never have a writer
        raise ValueError("is a pipe, no file")
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    if not content.size:
        raise ValueError("is an empty file; copy it again")
    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()  # some versions of OpenCV fill up what was cut off
    except (UnidentifiedImageError, Image.DecompressionBombError):
        pass  # OpenCV knows other formats and takes larger ones
    except Exception as error:  # Pillow raises many kinds over damaged files
        reason = f"is damaged or cut off: {error}; copy it again"
        raise ValueError(reason) from error
    try:
        pixels = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError("cannot be read as an image")
    return pixels


def _pixels(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I"):  # 16 bits; older versions of Pillow say 32
        return np.asarray(picture).clip(0, 2**16 - 1).astype(np.uint16)
    return np.asarray(picture.convert("RGB"))[..., ::-1]


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
