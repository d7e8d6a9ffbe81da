"""Inferencers of the hosts that take pictures in any form and draw in any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

from mmswinv2.pictures import IMAGE_SUFFIXES, as_host_picture, find_files

# The first transform of a pipeline, as the hosts' inferencers have it.
LOADERS = ("InferencerLoader", "LoadImageFromFile")


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


def predict(inferencer: Callable, pixels: np.ndarray) -> BaseDataElement:
    """What is found in a picture (H, W, 3) in BGR."""
    result = inferencer(pixels, return_datasamples=True)
    # MMSegInferencer returns a single one bare, the others wrap theirs
    return result["predictions"][0] if isinstance(result, dict) else result
