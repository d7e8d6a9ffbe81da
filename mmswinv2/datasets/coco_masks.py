"""Whether a segmentation in a COCO annotation file is one.

pycocotools does not look: coordinates of 1e9 or sizes of RLE kill the process; counts
that do not fill the picture make masks of what is in the memory, or an endless loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PixelBox = Sequence[float]  # x, y, width, height
MAX_SIDE, MAX_PIXELS = 2**20, 2**30  # of the largest picture that OpenCV reads
OUTLINE = 1e6  # px, of a mask: pycocotools takes 100 bytes for each

# Kind of fault: what is wrong, what to do.
MASK_FAULTS = {
    "flat": (
        "annotations whose 'segmentation' is one flat list of numbers",
        "write a list of polygons, [[x1, y1, x2, y2, ...]]",
    ),
    "type": (
        "annotations whose 'segmentation' is neither polygons nor RLE",
        "write [[x1, y1, ...], ...] or {'size': [height, width], 'counts': ...}",
    ),
    "short": (
        "annotations with a polygon of an odd number of values or fewer than 6, "
        "which is dropped in training and breaks the evaluation",
        "give each polygon at least three points x, y, or remove it",
    ),
    "numbers": (
        "annotations with a polygon whose values are no finite numbers",
        "write coordinates in px",
    ),
    "far": (
        "annotations with a polygon that reaches a million px, or is as long",
        "write coordinates in px of this picture",
    ),
    "outside": (
        "annotations with a polygon that leaves the picture by more than 1 px",
        "write coordinates in px of this picture, x before y, or cut them at its edge",
    ),
    "apart": (
        "annotations whose polygons and 'bbox' lie apart or differ ten times in area",
        "write both in px of the picture; bbox is [x, y, width, height]",
    ),
    "rle-keys": (
        "annotations whose RLE lacks 'size' or 'counts', which is ignored in training",
        "write {'size': [height, width], 'counts': a string or a list}",
    ),
    "rle-size": (
        "annotations whose RLE has another size than the picture",
        "'size' is [height, width], in this order, as 'height' and 'width' of the "
        "image",
    ),
    "rle-counts": (
        "annotations whose RLE does not fill the picture: its counts are broken or cut",
        "write the counts again, with pycocotools.mask.encode on a (height, width) "
        "array in Fortran order",
    ),
}
# Single ones do no harm to the rest of a set: the host drops or cuts them.
MILD_FAULTS = ("outside", "apart", "short")


def mask_fault(
    segmentation: list | dict, box: PixelBox, height: int, width: int
) -> str | None:
    """The kind of fault of a segmentation that is not fatal, a key of MASK_FAULTS."""
    if isinstance(segmentation, dict):
        return None
    if is_short(segmentation):
        return "short"
    points = np.concatenate([np.asarray(part, float) for part in segmentation])
    points = points.reshape(-1, 2)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
        return "outside"
    x, y, w, h = box
    apart = left > x + w + 1 or right < x - 1 or top > y + h + 1 or bottom < y - 1
    # one px more each way, so that the areas of thin objects can be compared
    area, box_area = (right - left + 1) * (bottom - top + 1), (w + 1) * (h + 1)
    return "apart" if apart or not 0.1 < area / box_area < 10 else None


def is_short(segmentation: list | dict) -> bool:
    """Whether it has a polygon of no area, at which COCO's evaluation stops."""
    polygons = segmentation if isinstance(segmentation, list) else ()
    return any(len(part) < 6 or len(part) % 2 for part in polygons)


def fatal_fault(segmentation: Any, height: int, width: int) -> str | None:
    """The kind of fault at which a run would die, or learn a mask of nothing."""
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        return "type"
    if all(isinstance(part, (int, float)) for part in segmentation):
        return "flat"
    if not all(isinstance(part, list) for part in segmentation):
        return "type"
    length = 0.0
    for part in segmentation:
        try:
            values = np.array(part[: len(part) // 2 * 2])
            if bool in map(type, part) or (
                values.size and values.dtype.kind not in "iuf"
            ):
                return "numbers"  # strings, None, lists, or whole numbers over 64 bits
            points = values.astype(float).reshape(-1, 2)
        except ValueError:  # lists of several lengths
            return "numbers"
        if not np.isfinite(points).all():
            return "numbers"
        steps = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1, initial=0)
        length += float(steps.sum())
        if length > OUTLINE or np.abs(points).max(initial=0) > OUTLINE:
            return "far"
    return None


def _rle_fault(rle: dict, height: int, width: int) -> str | None:
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, list) or not isinstance(counts, (list, str)):
        return "rle-keys"
    if size != [height, width] or not is_size(height, width):
        return "rle-size"
    try:
        runs = _runs(counts) if isinstance(counts, str) else counts
    except ValueError:
        return "rle-counts"
    whole = all(type(run) is int and run >= 0 for run in runs)
    return None if whole and sum(runs) == height * width else "rle-counts"


def is_size(height: Any, width: Any) -> bool:
    """Whether these can be the sides of a picture, in px."""
    sides = (height, width)
    whole = all(type(side) is int and 0 < side <= MAX_SIDE for side in sides)
    return whole and height * width <= MAX_PIXELS


def _runs(counts: str) -> list[int]:
    """Run lengths in COCO's text: 5 bits a character; from the third, differences.

    pycocotools decodes what is cut without a word.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in counts.encode("ascii"):
        code = byte - 48
        if not 0 <= code < 64:
            raise ValueError("no character of RLE")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:  # more characters of this number follow
            continue
        if code & 16:  # negative
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("cut within a number")
    return runs
