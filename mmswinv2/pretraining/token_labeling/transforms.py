"""mmpretrain's transforms, noting how they move the pixels of a picture.

Pictures are as mmpretrain's own make them, from the same random numbers. What moves no
pixel relative to its picture (resizes, colours, erasing) needs no twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mmcv.transforms
import mmpretrain.datasets.transforms as host
import numpy as np
from mmpretrain.datasets.transforms.auto_augment import (
    AUTOAUG_POLICIES,
    RANDAUG_POLICIES,
)

from mmswinv2.registry import TRANSFORMS

from . import geometry
from .geometry import note

if TYPE_CHECKING:  # goes before one
    from mmcv.transforms import BaseTransform as Mixin
else:
    Mixin = object


@TRANSFORMS.register_module()
class RandomResizedCrop(host.RandomResizedCrop):
    """mmpretrain's ``RandomResizedCrop``, which notes its crop.

    Args:
        *args (Any): Of mmpretrain's.
        swap_crop_axes (bool): Read labels where the code of the Token Labeling paper
            does: it stores a crop as (top, left, height, width) over the picture's
            size and takes these for (x, y, width, height), so that labels are those of
            the place mirrored at the diagonal. Only to reproduce what was published.
            Defaults to False.
        **kwargs (Any): Of mmpretrain's.
    """

    geometry_known = True

    def __init__(self, *args: Any, swap_crop_axes: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.swap_crop_axes = swap_crop_axes

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Draw and keep (top, left, height, width) in px."""
        self._drawn = super().rand_crop_params(img)
        return self._drawn

    def transform(self, results: dict) -> dict:
        """Crop, resize and note."""
        picture = results["img"].shape[:2]
        results = super().transform(results)
        top, left, *size = self._drawn
        step = geometry.crop_px(top, left, size, picture)
        note(results, geometry.swap_axes(step) if self.swap_crop_axes else step)
        return results


@TRANSFORMS.register_module()
class RandomCrop(host.RandomCrop):
    """mmpretrain's ``RandomCrop``, which notes its crop; padding has no labels."""

    geometry_known = True

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Draw and keep (top, left, height, width) in px."""
        self._padded, self._drawn = img.shape[:2], super().rand_crop_params(img)
        return self._drawn

    def transform(self, results: dict) -> dict:
        """Pad, crop and note."""
        picture = np.array(results["img"].shape[:2])
        results = super().transform(results)
        top, left, height, width = self._drawn
        sides = np.resize(self.padding or 0, 4)[[1, 0, 3, 2]]  # impad has (x, y, x, y)
        # what pad_if_needed adds is the same before and after
        more = self._padded - picture - sides[:2] - sides[2:]
        top, left = (top, left) - sides[:2] - more // 2
        of = (picture[0], picture[1])
        note(results, geometry.crop_px(top, left, (height, width), of))
        return results


@TRANSFORMS.register_module()
class CenterCrop(mmcv.transforms.CenterCrop):
    """mmcv's ``CenterCrop``, which notes its crop; padding has no labels."""

    geometry_known = True

    def _crop_img(self, results: dict, bboxes: np.ndarray) -> None:
        self._box = bboxes
        super()._crop_img(results, bboxes)

    def transform(self, results: dict) -> dict:
        """Pad below and on the right, crop and note."""
        picture = results["img"].shape[:2]
        results = super().transform(results)
        left, top, right, bottom = self._box
        size = bottom + 1 - top, right + 1 - left
        note(results, geometry.crop_px(top, left, size, picture))
        return results


@TRANSFORMS.register_module()
class RandomFlip(mmcv.transforms.RandomFlip):
    """mmcv's ``RandomFlip``, which notes its flip."""

    geometry_known = True

    def _flip(self, results: dict) -> None:
        super()._flip(results)
        note(results, geometry.flip(results["flip_direction"]))


class _SpatialPolicy(Mixin):
    """Keeps the signed magnitude that an operation of RandAugment draws."""

    geometry_known = True
    _drawn: float | None

    def random_negative(self, value: float) -> float:
        """Draw and keep the sign."""
        self._drawn = super().random_negative(value)
        return self._drawn

    def transform(self, results: dict) -> dict:
        """Move the pixels, or leave them, and note."""
        self._drawn = None  # stays so where the operation is left out
        results = super().transform(results)
        if self._drawn is not None:
            note(results, self._step(self._drawn, results["img"].shape[:2]))
        return results

    def _step(self, magnitude: float, picture: geometry.Size) -> np.ndarray:
        raise NotImplementedError


@TRANSFORMS.register_module()
class Rotate(_SpatialPolicy, host.Rotate):
    """mmpretrain's ``Rotate``, which notes its angle; corners have no labels."""

    def _step(self, magnitude: float, picture: geometry.Size) -> np.ndarray:
        return geometry.rotation(magnitude, self.center, self.scale, picture)


@TRANSFORMS.register_module()
class Shear(_SpatialPolicy, host.Shear):
    """mmpretrain's ``Shear``, which notes its magnitude."""

    def _step(self, magnitude: float, picture: geometry.Size) -> np.ndarray:
        return geometry.shear(magnitude, self.direction, picture)


@TRANSFORMS.register_module()
class Translate(_SpatialPolicy, host.Translate):
    """mmpretrain's ``Translate``, which notes its share of the picture."""

    def _step(self, magnitude: float, picture: geometry.Size) -> np.ndarray:
        return geometry.translation(magnitude, self.direction)


TWINS = {
    kind.__name__: f"mmswinv2.{kind.__name__}"
    for kind in (
        RandomResizedCrop,
        RandomCrop,
        CenterCrop,
        RandomFlip,
        Rotate,
        Shear,
        Translate,
    )
}


def _with_twins(policies: Sequence[dict]) -> list[dict]:
    return [{**p, "type": TWINS.get(p["type"], p["type"])} for p in policies]


@TRANSFORMS.register_module()
class RandAugment(host.RandAugment):
    """mmpretrain's ``RandAugment``, whose spatial operations note what they do.

    Args:
        policies (str | list[dict]): A repertoire of mmpretrain's, such as
            'timm_increasing', or operations; 'Rotate', 'Shear' and 'Translate' are
            those of this module.
        **kwargs (Any): Of mmpretrain's.
    """

    def __init__(self, policies: str | list[dict], **kwargs: Any) -> None:
        if isinstance(policies, str):
            policies = RANDAUG_POLICIES.get(policies, policies)
        if not isinstance(policies, str):  # an unknown name is mmpretrain's to refuse
            policies = _with_twins(policies)
        super().__init__(policies, **kwargs)


@TRANSFORMS.register_module()
class AutoAugment(host.AutoAugment):
    """mmpretrain's ``AutoAugment``, likewise.

    Args:
        policies (str | list[list[dict]]): 'imagenet', or operations in a row.
        **kwargs (Any): Of mmpretrain's.
    """

    def __init__(self, policies: str | list[list[dict]], **kwargs: Any) -> None:
        if isinstance(policies, str):
            policies = AUTOAUG_POLICIES.get(policies, policies)
        if not isinstance(policies, str):
            policies = [_with_twins(row) for row in policies]
        super().__init__(policies, **kwargs)
