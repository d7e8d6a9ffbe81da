"""InstaBoost, which HTC++ trains with, on the numpy of today."""

from typing import Any

import cv2
import numpy as np
from mmdet.datasets.transforms import InstaBoost as MMDetInstaBoost

from mmswinv2.registry import TRANSFORMS


@TRANSFORMS.register_module()
class InstaBoost(MMDetInstaBoost):
    """mmdet's ``InstaBoost`` with a repair of the package ``instaboostfast``.

    Version 0.1.2, the latest, makes one array of the outlines of an object, which
    numpy from 1.24 on refuses where they differ in length: training would stop at the
    first moved object that has several parts. The outlines are traced here instead.

    Args:
        **kwargs (Any): As mmdet's; ``aug_ratio`` is the share of images, 0.5.

    Raises:
        ImportError: If ``instaboostfast`` is not installed.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        import instaboostfast.affine_transform

        instaboostfast.affine_transform.binary_mask_to_polygon = mask_to_polygons


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Outlines of a mask ``(H, W)``, each [x, y, x, y, ...] in px; holes are filled."""
    # Twice as large, so that an outline runs inside the border of its pixels.
    grown = np.ascontiguousarray(mask, np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    parts, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((part.ravel() + 0.5) / 2).tolist() for part in parts]
