"""Resize batches of images and clips, annotations included.

A training resolution is set here, on the batch, and not in the data pipeline. What
comes out is the same, since resizing the result of a pipeline multiplies every size in
it, those of Resize, RandomCrop and Pad alike. But only so does it follow the iteration
exactly: workers, persistent or not, have read batches ahead of a change, how many
depends on their speed, and a resumed run could not repeat it. The images are read at
the largest resolution all along; they are resized where the model is.
"""

from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn

from .window_schedule import scaled


def resize_batch(batch: dict, scale: float) -> None:
    """Resize images and annotations of a training batch, in place.

    Args:
        batch (dict): ``inputs``, a list of images ``(C, H, W)`` or clips
            ``(C, T, H, W)``, or one tensor of them, and ``data_samples``.
        scale (float): New size over the old one.
    """
    inputs, sizes = batch["inputs"], image_sizes(batch)
    if isinstance(inputs, Tensor):
        batch["inputs"] = _resize_image(inputs, scale)
    else:
        batch["inputs"] = [_resize_image(image, scale) for image in inputs]
    for sample, size in zip(batch.get("data_samples") or (), sizes):
        _resize_sample(sample, size, scale)


def image_sizes(batch: Any) -> list[tuple[int, int]]:
    """(height, width) in px of a training batch's images; none if it has no list."""
    inputs = batch.get("inputs") if isinstance(batch, dict) else None
    if not isinstance(inputs, (list, tuple, Tensor)):
        return []
    return [tuple(image.shape[-2:]) for image in inputs]


class FixedSizes:
    """Sizes to which a data preprocessor pads training batches, and their scaling.

    ``size`` of MMSegmentation's preprocessor and of batch augmentations.

    Args:
        preprocessor (nn.Module): The model's data preprocessor.

    Raises:
        ValueError: If it has a batch augmentation that decides on sizes by itself.
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        augments = getattr(preprocessor, "batch_augments", None)
        if not isinstance(augments, Iterable):  # mmpretrain's, which keep sizes
            augments = ()
        for augment in augments:
            if not hasattr(augment, "size"):
                raise ValueError(
                    f"{type(augment).__name__} in batch_augments decides on image "
                    "sizes by itself, so a schedule cannot scale them: remove it, or "
                    "scale from the schedule"
                )
        self._own = {
            module: module.size
            for module in (preprocessor, *augments)
            if getattr(module, "size", None) is not None
        }

    def scale(self, scale: float) -> None:
        """Set every size to ``scale`` times the configured one."""
        for module, size in self._own.items():
            module.size = tuple(scaled(length, scale) for length in size)


def _resize_image(images: Tensor, scale: float) -> Tensor:
    """``(..., H, W)`` of any dtype -> float, anti-aliased."""
    *others, height, width = images.shape
    size = [scaled(length, scale) for length in (height, width)]
    planes = images.float().reshape(1, -1, height, width)
    planes = F.interpolate(planes, size, mode="bilinear", antialias=True)
    return planes.view(*others, *size)


def _resize_sample(
    sample: BaseDataElement, size: tuple[int, int], scale: float
) -> None:
    height, width = (scaled(length, scale) for length in size)
    ratio = (width / size[1], height / size[0])
    for name, field in [*sample.items()]:
        if isinstance(field, PixelData):
            setattr(sample, name, _resize_pixels(field, scale))
        elif isinstance(field, BaseDataElement):
            if "bboxes" in field:
                field.bboxes = _resize_boxes(field.bboxes, ratio)
            if "masks" in field:
                field.masks = field.masks.resize((height, width))
    sample.set_metainfo(dict(img_shape=(height, width)))
    if known := sample.get("scale_factor"):
        sample.set_metainfo(
            dict(scale_factor=(known[0] * ratio[0], known[1] * ratio[1]))
        )


def _resize_boxes(boxes: Any, ratio: tuple[float, float]) -> Any:
    """Boxes of any of MMDetection's types, or plain (x1, y1, x2, y2)."""
    if isinstance(boxes, Tensor):
        return boxes * boxes.new_tensor(ratio * 2)
    boxes = boxes.clone()
    boxes.rescale_(ratio)
    return boxes


def _resize_pixels(field: PixelData, scale: float) -> PixelData:
    """Label maps ``(C, H, W)``, which may be coarser than the image."""

    def resize(labels: Tensor) -> Tensor:
        size = [scaled(length, scale) for length in labels.shape[-2:]]
        resized = F.interpolate(labels[None].double(), size, mode="nearest-exact")
        return resized[0].to(labels.dtype)

    return PixelData(**{name: resize(labels) for name, labels in field.items()})
