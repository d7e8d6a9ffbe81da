"""Inferencers of the hosts that take pictures in any form and draw in any thread."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.structures import BaseDataElement

from mmswinv2.pictures import (
    IMAGE_SUFFIXES,
    as_host_picture,
    find_files,
    read_picture,
)

if TYPE_CHECKING:  # goes before one
    from mmengine.infer import BaseInferencer as Mixin
else:
    Mixin = object

# The first transform of a pipeline, as the hosts' inferencers have it.
LOADERS = ("InferencerLoader", "LoadImageFromFile")
BACKENDS = ("cv2", "pillow", "turbojpeg")  # of mmcv, which decode the same kinds


class NamingPipeline:
    """A pipeline that reads pictures as people see them, and names them in errors.

    The hosts' loaders neither take every kind of file nor turn all of them. They read
    what a config wants read in another way: unchanged, or by a backend of its own.

    Args:
        pipeline (Callable): Takes a picture as :func:`as_host_picture` gives it.
        loader (Mapping): Its first transform, as the config has it.
    """

    def __init__(
        self, pipeline: Callable[[Any], dict], loader: Mapping[str, Any]
    ) -> None:
        self.pipeline = pipeline
        self.color_type = loader.get("color_type", "color")
        self.backend_args = loader.get("backend_args")
        backend = loader.get("imdecode_backend") or "cv2"
        kinds = ("color", "grayscale")
        self._reads = self.color_type.startswith(kinds) and backend in BACKENDS

    def __call__(self, picture: str | np.ndarray | dict) -> dict:
        """As the pipeline.

        Raises:
            ValueError: In place of any error of reading or of a transform.
        """
        picture, path = self.load(picture)
        try:
            data = self.pipeline(picture)
        except Exception as error:  # of OpenCV, Pillow, the file system, ...
            name = str(path or _path_of(picture) or "a picture")
            if isinstance(picture, np.ndarray):
                name += f" of {picture.shape[1]} x {picture.shape[0]} px"
            raise ValueError(
                f"{name} cannot be prepared for the model: {_reason(error)}"
            ) from error
        if path is not None:
            data["data_samples"].set_metainfo(dict(img_path=path))
        return data

    def load(
        self, picture: str | np.ndarray | dict
    ) -> tuple[str | np.ndarray | dict, str | None]:
        """What the first transform takes, read if this reads it, and then its path.

        Raises:
            ValueError: It cannot be read.
        """
        path = _path_of(picture) if self._reads else None
        if path is None:
            return picture, None
        pixels = as_host_picture(self.read(path), color_type=self.color_type)
        given = dict(picture, img=pixels) if isinstance(picture, dict) else pixels
        return given, path

    def read(self, path: str) -> np.ndarray:
        """Pixels (H, W, 3) in BGR.

        Raises:
            ValueError: It cannot be read.
        """
        try:
            return read_picture(path, backend_args=self.backend_args)
        except ValueError as error:
            raise ValueError(f"{path} {error}") from error

    def drawn_on(self, picture: Any, folder: str) -> Any:
        """What the hosts' ``visualize`` takes: a file of what was read, or RGB."""
        path = _path_of(picture) if self._reads else None
        if path is not None:
            pixels = self.read(path)
            file = Path(folder, Path(path).name)  # what is drawn is called as it is
            lossless = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            file.write_bytes(lossless[1].data)
            return str(file)
        if not isinstance(picture, np.ndarray):
            return picture
        code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
        return cv2.cvtColor(picture, code).clip(0, 255).astype(np.uint8)


def _path_of(picture: Any) -> str | None:
    """Of a picture that is yet to be read."""
    if isinstance(picture, dict):
        return None if "img" in picture else picture.get("img_path")
    return picture if isinstance(picture, str) else None


def _reason(error: Exception) -> str:
    """In one line."""
    if isinstance(error, cv2.error):
        return (
            f"OpenCV's {error.func} does not take it ({error.err}); it may be so thin "
            "that a side becomes shorter than 1 px"
        )
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0]}"


class AnyPictures(Mixin):
    """Goes before a host's inferencer among the bases of a class.

    Lists may mix sizes and kinds of pictures, whatever the batch size. Predictions may
    run in several threads at once; drawing and saving, which number their files, take
    turns.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._drawing = threading.RLock()
        super().__init__(*args, **kwargs)

    def _inputs_to_list(self, inputs: Any) -> list:
        """Pictures that are given one by one, in a list or as a folder."""
        if isinstance(inputs, (str, Path)) and Path(inputs).is_dir():
            inputs = find_files(inputs, IMAGE_SUFFIXES, "pictures")
        inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        color_type = self.pipeline.color_type
        return [as_host_picture(x, color_type=color_type) for x in inputs]

    def _init_pipeline(self, cfg: Config) -> NamingPipeline:
        steps = cfg.test_dataloader.dataset.pipeline
        loader = next(t for t in steps if str(t["type"]).endswith(LOADERS))
        return NamingPipeline(super()._init_pipeline(cfg), loader)

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

    def visualize(self, inputs: list, *args: Any, **kwargs: Any) -> list | None:
        """As the host, on the pixels that were looked at."""
        with self._drawing, tempfile.TemporaryDirectory() as folder:
            drawn_on = (self.pipeline.drawn_on(x, folder) for x in inputs)
            return super().visualize(drawn_on, *args, **kwargs)

    def postprocess(self, *args: Any, **kwargs: Any) -> Any:
        """As the host."""
        with self._drawing:
            return super().postprocess(*args, **kwargs)


def predict(inferencer: Callable, pixels: np.ndarray) -> BaseDataElement:
    """What is found in a picture (H, W, 3) in BGR."""
    result = inferencer(pixels, return_datasamples=True)
    # MMSegInferencer returns a single one bare, the others wrap theirs
    return result["predictions"][0] if isinstance(result, dict) else result
