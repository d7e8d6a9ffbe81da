"""What is wrong with the annotations of a COCO file: boxes, masks, references."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmswinv2.datasets.coco_masks import (
    MASK_FAULTS,
    MILD_FAULTS,
    OUTLINE,
    fatal_fault,
    is_short,
    mask_fault,
)

from .findings import Finding, Severity, Tally, first, watch

MANY = 0.1  # share of records from which on a fault is no slip but a wrong format
MISSING: dict = {}  # in place of an image that is not there
UNSOUND: dict = {}  # or not sound
MASK = "segmentation"
LARGEST = 1e10  # px, the area of objects that COCO's evaluation counts
NEEDED = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")

# Kind of fault: what is wrong, what to do.
FAULTS = {
    **{
        name: (f"annotations without {name!r}", f"give each annotation its {name!r}")
        for name in NEEDED[:-2]
    },
    "area": ("annotations without 'area'", "give each its area in px, or w * h"),
    "iscrowd": (
        "annotations without 'iscrowd', at which the evaluation stops",
        "give each annotation 'iscrowd': 0",
    ),
    "twice": (
        "annotations with the id of another, at which mmdet stops",
        "number annotations from 1 to the end",
    ),
    "image": (
        "annotations of images that the file does not have, which are not used",
        "'image_id' is the 'id' of an image, of the same type (7 is not '7')",
    ),
    "category": (
        "annotations of categories that the file does not have, which are background",
        "'category_id' is the 'id' of a category, of the same type (7 is not '7')",
    ),
    "numbers of bbox": (
        "annotations whose bbox or area is not made of finite numbers",
        "bbox is [x, y, width, height] in px, area is in px",
    ),
    "far box": (
        "annotations whose bbox reaches a million px, or whose area is above 1e10 px, "
        "which the evaluation leaves out",
        "bbox is [x, y, width, height] in px, area is in px",
    ),
    "crowds": (
        "annotations whose iscrowd is neither 0 nor 1",
        "write 0 for a single object, 1 for a group",
    ),
    "empty": (
        "annotations of less than 1 px in width or height, or of no area, which mmdet "
        "drops",
        "bbox is [x, y, width, height] in px (not shares of 1), area is in px",
    ),
    "beyond": (
        "annotations whose box lies beyond the picture, which mmdet drops",
        "write coordinates in px of this picture",
    ),
    "leaves": (
        "boxes that leave the picture by more than 1 px",
        "write coordinates in px of this picture, or cut the box at its edge",
    ),
    "no mask": (
        "annotations without 'segmentation', at which the loading of masks stops",
        "draw these masks, or leave these annotations out",
    ),
    **MASK_FAULTS,
    "rle only": (
        "annotations with RLE, which LoadAnnotations(poly2mask=False) ignores",
        "take poly2mask=False out of the pipeline",
    ),
}
# Single ones do no harm to the rest of a set: the host drops or cuts them.
MILD = ("image", "empty", "beyond", "leaves", *MILD_FAULTS)


@dataclass(frozen=True)
class CocoUse:
    """What a run does with an annotation file.

    Attributes:
        classes (Sequence[str], optional): Names in the order of labels; those of the
            file without a config.
        own_classes (bool): Whether the config names them, not the dataset's type.
        masks (bool): Whether the pipeline loads masks.
        poly2mask (bool): Whether it makes bitmaps of them; only then RLE is read.
        evaluated (bool): Whether CocoMetric reads the file.
        filter_cfg (Mapping): ``filter_empty_gt`` and ``min_size`` in px, for training.
        key (str): The config's key of the dataset.
    """

    classes: Sequence[str] | None = None
    own_classes: bool = True
    masks: bool = False
    poly2mask: bool = True
    evaluated: bool = True
    filter_cfg: Mapping[str, object] = field(default_factory=dict)
    key: str = "dataset"


def check_annotations(
    content: dict,
    file: str,
    use: CocoUse,
    images: Mapping[object, dict],
    names: Mapping[object, str],
    filled: set[object],
) -> Iterator[Finding]:
    """What is wrong with the annotations of a file.

    Args:
        content (dict): The file's.
        file (str): Its path.
        use (CocoUse): What a run does with it.
        images (Mapping): Its images by id; UNSOUND for those that were found faulty.
        names (Mapping): Names of the categories that the run learns, by id.
        filled (set): Takes the ids of images with an annotation of these.
    """
    annotations = content["annotations"]
    tally = Tally()
    all_ids = {category.get("id") for category in content["categories"]}
    seen: set[object] = set()
    learned: Counter[str] = Counter()
    for annotation in watch(annotations, f"checking {file}"):
        number = annotation.get("id")
        if number in seen:
            tally.add("twice", f"id {number}")
        elif number is not None:
            seen.add(number)
        image = images.get(annotation.get("image_id"), MISSING)
        if image is UNSOUND:
            continue
        fault = _fault(annotation, image, all_ids, use.evaluated)
        if fault:
            tally.add(fault, f"id {number}")
        if image is MISSING or annotation.get("category_id") not in names:
            continue
        if fault in (None, "crowd"):
            filled.add(annotation["image_id"])
        if fault is None and not annotation.get("ignore"):
            learned[names[annotation["category_id"]]] += 1
            _look_at_shapes(annotation, image, use, tally)
        elif fault == "crowd" or use.evaluated:
            _look_at_mask(annotation, image, use, tally)
    yield from _tell(tally, file, use, len(annotations), learned.total())
    if 0 in seen and use.evaluated:
        what = (
            "an annotation has the id 0, which pycocotools takes for 'no match': a "
            "detection of it counts as wrong"
        )
        yield Finding("warning", file, what, "number annotations from 1")
    told = sum(tally.counts.get(kind, 0) for kind in FAULTS)
    if names and not learned and told <= MANY * len(annotations):
        crowd = tally.counts.get("crowd", 0)
        what = f"has no object to learn: {len(annotations)} annotations, {crowd} crowds"
        cure = "annotate single objects (iscrowd=0) with a bbox of at least 1 x 1 px"
        yield Finding("error", file, what, cure)
    bare = [name for name in names.values() if not learned[name]]
    if learned and bare and use.own_classes:
        what, cure = "classes without annotations", "annotate some, or drop them"
        yield Finding("warning", file, what, cure, len(bare), first(bare))


def _fault(
    annotation: dict, image: dict, categories: set, evaluated: bool
) -> str | None:
    """Why mmdet would stop at an annotation, leave it out or ignore it."""
    for name in NEEDED if evaluated else NEEDED[:-1]:
        if name not in annotation:
            return name
    if image is MISSING:
        return "image"
    if annotation["category_id"] not in categories:
        return "category"
    try:
        x, y, w, h = annotation["bbox"]
        numbers = (x, y, w, h, annotation["area"])
        finite = all(math.isfinite(n) and type(n) is not bool for n in numbers)
    except (TypeError, ValueError, OverflowError):
        finite = False
    if not finite:
        return "numbers of bbox"
    if max(map(abs, annotation["bbox"])) > OUTLINE or annotation["area"] > LARGEST:
        return "far box"
    if annotation.get("iscrowd", 0) not in (0, 1):
        return "crowds"
    if w < 1 or h < 1 or annotation["area"] <= 0:
        return "empty"
    if x >= image["width"] or y >= image["height"] or x + w <= 0 or y + h <= 0:
        return "beyond"
    return "crowd" if annotation.get("iscrowd") else None


def _look_at_shapes(annotation: dict, image: dict, use: CocoUse, tally: Tally) -> None:
    """Counts what is wrong with the box and the mask of an object."""
    x, y, w, h = box = annotation["bbox"]
    width, height = image["width"], image["height"]
    who = f"id {annotation['id']}"
    if min(x, y) < -1 or x + w > width + 1 or y + h > height + 1:
        tally.add("leaves", who)
    if x < w <= width + 1 and y < h <= height + 1:
        tally.add("corners", who)
    if not _look_at_mask(annotation, image, use, tally):
        return
    segmentation = annotation[MASK]
    if fault := mask_fault(segmentation, box, height, width):
        tally.add(fault, who)
    elif isinstance(segmentation, dict) and not use.poly2mask:
        tally.add("rle only", who)


def _look_at_mask(annotation: dict, image: dict, use: CocoUse, tally: Tally) -> bool:
    """Whether there is a mask that can be read; counts what it is otherwise."""
    if not use.masks:
        return False
    kind, mask = "no mask", annotation.get(MASK)
    if mask:
        kind = fatal_fault(mask, image["height"], image["width"])
        kind = kind or ("short" if use.evaluated and is_short(mask) else None)
    if kind:
        tally.add(kind, f"id {annotation.get('id')}")
    return kind is None


def _tell(
    tally: Tally, file: str, use: CocoUse, total: int, learned: int
) -> Iterator[Finding]:
    counts = tally.counts
    for kind, (what, cure) in FAULTS.items():
        if kind == "no mask" and counts.get(kind, 0) >= learned > 0:
            what = "no annotation has a 'segmentation', but the pipeline loads masks"
            cure = (
                "train boxes only: a config without mask head, with_mask=False in "
                "every LoadAnnotations and metric='bbox'"
            )
            yield Finding("error", file, what, cure)
            continue
        if kind == "leaves" and counts.get("corners") == learned:
            what += "; all look like corners [x1, y1, x2, y2]"
            cure = "write bbox as [x, y, width, height]"
        mild = kind in MILD and counts.get(kind, 0) <= MANY * total
        mild &= not (kind == "short" and use.evaluated)
        severity: Severity = "warning" if mild else "error"
        yield from tally.finding(kind, file, what, cure, severity)
