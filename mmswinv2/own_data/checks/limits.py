"""Finds pictures with more objects than a model, or its evaluation, can find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from mmengine.config import Config

from mmswinv2.evaluation.detection_limits import COCO_LIMIT, find_limits

from .findings import Finding


def check_limits(
    content: Mapping,
    classes: Collection[str],
    cfg: Config,
    split: str,
    metrics: Sequence[Mapping],
) -> Iterator[Finding]:
    """Limits that are below the objects of some picture.

    Args:
        content (Mapping): COCO annotations; records that are broken do not count.
        classes (Collection[str]): Those that the model learns.
        cfg (Config): The config, with the limits of the model and of TTA.
        split (str): 'train' (only the number of queries bounds it), 'val' or 'test'.
        metrics (Sequence[Mapping]): Of the split, all that read COCO annotations.
    """
    known = {
        category.get("id")
        for category in content["categories"]
        if category.get("name") in classes
    }
    by_class = Counter(
        (label.get("image_id"), label.get("category_id"))
        for label in content.get("annotations", ())
        if label.get("category_id") in known and not label.get("iscrowd")
    )
    by_image: Counter = Counter()
    for (image, _), count in by_class.items():
        by_image[image] += count
    total = len(content["images"])
    for key, limit in find_limits(cfg, tta=split == "test").items():
        if split != "train" or key.endswith("num_queries"):
            cut = [count for count in by_image.values() if count > limit]
            cure = f"set {key}={-(-max(cut, default=0) // 100) * 100}"
            yield from _tell(cut, total, limit, f"{key}={limit}", cure)
    largest: dict = {}  # number of one class, by picture
    for (image, _), count in by_class.items():
        largest[image] = max(count, largest.get(image, 0))
    cut = [count for count in largest.values() if count > COCO_LIMIT]
    for metric in metrics:
        # Ours reads as many as there are, and speaks for itself where it may not
        if metric.get("type") in ("CocoMetric", "mmdet.CocoMetric"):
            key = f"{split}_evaluator.type"
            where = f"{key}={metric['type']!r}, whose mAP reads {COCO_LIMIT} of a class"
            cure = f"set {key}='mmswinv2.CocoMetric'"
            yield from _tell(cut, total, COCO_LIMIT, where, cure)


def _tell(
    cut: Sequence[int], total: int, limit: int, where: str, cure: str
) -> Iterator[Finding]:
    """A warning on pictures with so many objects, if there are any."""
    if cut:
        what = (
            f"of {total} pictures have more objects, up to {max(cut)}, of which "
            f"{limit} can be found"
        )
        yield Finding("warning", where, what, cure, len(cut))
