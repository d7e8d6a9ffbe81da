"""Inferencers of the hosts that take pictures in any form and draw in any thread."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
# The first transform of a pipeline, as the hosts' inferencers have it.
LOADERS = ("InferencerLoader", "LoadImageFromFile")


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


class NamingPipeline:
    """A pipeline whose errors name the picture and its size.

    Args:
        pipeline (Callable): Takes a picture as :func:`as_host_picture` gives it.
    """

    def __init__(self, pipeline: Callable[[object], object]) -> None:
        self.pipeline = pipeline

    def __call__(self, picture: object) -> object:
        """As the pipeline.

        Raises:
            ValueError: In place of any error of a transform.
        """
        try:
            return self.pipeline(picture)
        except Exception as error:  # of OpenCV, Pillow, the file system, ...
            given = picture.get("img_path") if isinstance(picture, dict) else picture
            name = str(given) if isinstance(given, (str, Path)) else "a picture"
            if isinstance(given, np.ndarray):
                name += f" of {given.shape[1]} x {given.shape[0]} px"
            raise ValueError(
                f"{name} cannot be prepared for the model: {_reason(error)}"
            ) from error


def _reason(error: Exception) -> str:
    """In one line."""
    if isinstance(error, cv2.error):
        return (
            f"OpenCV's {error.func} does not take it ({error.err}); it may be so thin "
            "that a side becomes shorter than 1 px"
        )
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0]}"


class AnyPictures:
    """Goes before a host's inferencer among the bases of a class.

    Lists may mix sizes and kinds of pictures, whatever the batch size. Predictions may
    run in several threads at once; drawing and saving, which number their files, take
    turns.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._drawing = threading.RLock()
        super().__init__(*args, **kwargs)

    def _inputs_to_list(self, inputs: object) -> list:
        """Pictures that are given one by one, in a list or as a folder."""
        if isinstance(inputs, (str, Path)) and Path(inputs).is_dir():
            inputs = find_files(inputs, IMAGE_SUFFIXES, "pictures")
        inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        pipeline = self.cfg.test_dataloader.dataset.pipeline
        loader = next(t for t in pipeline if str(t["type"]).endswith(LOADERS))
        color_type = loader.get("color_type", "color")
        return [as_host_picture(x, color_type=color_type) for x in inputs]

    def _init_pipeline(self, cfg: object) -> NamingPipeline:
        return NamingPipeline(super()._init_pipeline(cfg))

    def _get_chunk_data(self, inputs: Iterable, chunk_size: int) -> Iterator[list]:
        """Batches; but for MMDetection's, which it pads, they are of one size."""
        if self.scope == "mmdet":
            yield from super()._get_chunk_data(inputs, chunk_size)
            return
        chunk: list[dict] = []
        for data in inputs:
            full = len(chunk) == chunk_size
            if chunk and (full or data["inputs"].shape != chunk[0]["inputs"].shape):
                yield chunk
                chunk = []
            chunk.append(data)
        if chunk:
            yield chunk

    def visualize(self, inputs: list, *args: object, **kwargs: object) -> list | None:
        """As the host, which draws arrays in RGB."""
        with self._drawing:
            return super().visualize([_drawn(x) for x in inputs], *args, **kwargs)

    def postprocess(self, *args: object, **kwargs: object) -> object:
        """As the host."""
        with self._drawing:
            return super().postprocess(*args, **kwargs)


def _drawn(picture: object) -> object:
    if not isinstance(picture, np.ndarray):
        return picture
    code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(picture, code).clip(0, 255).astype(np.uint8)
