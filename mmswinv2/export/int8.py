"""ONNX files whose products and convolutions are of 8 bits."""
# H W a picture in px

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmswinv2.pictures import IMAGE_SUFFIXES, find_files

from .networks import Exported

if TYPE_CHECKING:
    from onnx import ModelProto

FEWEST = 10  # pictures
CALIBRATED, COMPARED = 64, 8  # pictures at most; time grows with them
KINDS = ("MatMul", "Gemm", "Conv")


class OwnPictures:
    """Pictures of the user, some to calibrate with and others to compare on.

    Args:
        folder (Path): Where they lie.
        pipeline (Callable): The test pipeline: a path -> ``inputs``, BGR ``(3, H, W)``
            of 8 bits.
        size (tuple[int, int], optional): (height, width) in px of all pictures that
            the file takes. None: any.
        colour (Sequence[int]): RGB to fill them up with.

    Raises:
        FileNotFoundError, ValueError: There are none, or too few.
    """

    def __init__(
        self,
        folder: Path,
        pipeline: Callable[[str], dict],
        size: tuple[int, int] | None,
        colour: Sequence[int],
    ) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"--int8 {folder}: there is no such folder")
        files = find_files(folder, IMAGE_SUFFIXES, "pictures")
        if len(files) < FEWEST:
            raise ValueError(
                f"--int8 {folder} has {len(files)} pictures; {FEWEST} or more are "
                "needed, such as the model will be used on, most of them to calibrate "
                "with and some to compare on"
            )
        self.pipeline, self.size, self.colour = pipeline, size, colour
        others = [file for i, file in enumerate(files) if i % 5]
        self._to_calibrate = _spread(others, CALIBRATED)
        self._to_compare = _spread(files[::5], COMPARED)

    def to_calibrate(self) -> Iterator[np.ndarray]:
        """RGB ``(H, W, 3)`` of 8 bits at the scale of the network."""
        return map(self._prepare, self._to_calibrate)

    def to_compare(self) -> list[np.ndarray]:
        """Likewise, of other pictures."""
        return [*map(self._prepare, self._to_compare)]

    def _prepare(self, file: Path) -> np.ndarray:
        pixels = (
            self.pipeline(str(file))["inputs"].numpy().transpose(1, 2, 0)[..., ::-1]
        )
        if self.size is None:
            return np.ascontiguousarray(pixels)
        sides = pixels.shape[:2]
        factor = min(whole / side for whole, side in zip(self.size, sides))
        height, width = (max(round(side * factor), 1) for side in sides)
        filled = np.full((*self.size, 3), self.colour, np.uint8)
        filled[:height, :width] = cv2.resize(pixels, (width, height))
        return filled


def _spread(files: Sequence[Path], most: int) -> list[Path]:
    """Files from all over a list."""
    number = min(most, len(files))
    return [files[i * len(files) // number] for i in range(number)]


def quantise(path: Path, network: Exported, pictures: Iterator[np.ndarray]) -> None:
    """Turns products with weights to 8 bits, in place of the file.

    Weights have a scale per channel, what they are multiplied with has one for all,
    from the smallest and largest values of the pictures. The patch embedding stays: it
    is small, and all that follows depends on it. So do products of two activations.

    Args:
        path (Path): An ONNX file, in fp32.
        network (Exported): That it computes.
        pictures (Iterator): To calibrate with, see :class:`OwnPictures`.

    Raises:
        ValueError: The file is too large.
    """
    import onnx
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    if path.with_name(f"{path.name}.data").exists():
        raise ValueError("a model with weights of more than 2 GB cannot have 8 bits")

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(pictures, None)
            if picture is None:
                return None
            more = (value.numpy() for value in network.more_inputs())
            return dict(zip(network.input_names, (picture, *more)))

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it asks for a preparation that is done
    onnxruntime.set_default_logger_severity(3)  # the same of inputs with defaults
    try:
        quantize_static(
            path,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*KINDS],
            nodes_to_quantize=_products(onnx.load(path)),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        root.setLevel(level)
        onnxruntime.set_default_logger_severity(2)


def _products(model: ModelProto) -> list[str]:
    """Names of products and convolutions with weights, but for the patch embedding."""
    weights = {weight.name for weight in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in KINDS
        and node.input[1] in weights
        and "patch_embed" not in node.input[1]
    ]
