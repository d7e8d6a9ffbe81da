"""The repair of instaboostfast."""

import sys
from types import ModuleType

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS, init_default_scope
from pycocotools import mask as coco_mask

from mmswinv2.datasets.instaboost import mask_to_polygons


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for instaboostfast, as far as the repair touches it."""
    package, module = ModuleType("instaboostfast"), ModuleType("affine_transform")
    package.InstaBoostConfig = lambda *args: args
    package.affine_transform = module
    monkeypatch.setitem(sys.modules, "instaboostfast", package)
    monkeypatch.setitem(sys.modules, "instaboostfast.affine_transform", module)
    return package


def test_replaces_the_tracing(package: ModuleType) -> None:
    """Building the transform repairs the package; its options are mmdet's."""
    init_default_scope("mmdet")
    transform = TRANSFORMS.build(dict(type="mmswinv2.InstaBoost", aug_ratio=0.25))
    assert transform.aug_ratio == 0.25
    assert package.affine_transform.binary_mask_to_polygon is mask_to_polygons


def test_outlines_of_several_parts() -> None:
    """Parts of different outlines, one of a single pixel, give the same mask again."""
    rows, columns = np.mgrid[:40, :50]
    mask = (rows - 12) ** 2 + (columns - 14) ** 2 <= 81
    mask[30:35, 20:45] = True
    mask[25, 3] = mask[39, 49] = True
    polygons = mask_to_polygons(np.asfortranarray(mask, np.uint8))
    assert len({len(polygon) for polygon in polygons}) > 1 and len(polygons) == 4
    again = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 40, 50)))
    assert (again.astype(bool) != mask).mean() < 0.002
    assert mask_to_polygons(np.zeros((4, 4), np.uint8)) == []
