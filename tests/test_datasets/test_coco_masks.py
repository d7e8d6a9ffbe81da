"""Masks in annotation files."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mmswinv2.datasets.coco_masks import fatal_fault


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_compressed_rle(seed: int, height: int, width: int) -> None:
    """What pycocotools writes is sound; cut anywhere, it is not."""
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < random.random()
    code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    rle = dict(size=[height, width], counts=code["counts"].decode())
    assert fatal_fault(rle, height, width) is None
    cut = int(random.integers(len(rle["counts"])))
    rle["counts"] = rle["counts"][:cut]
    assert fatal_fault(rle, height, width) == "rle-counts"
