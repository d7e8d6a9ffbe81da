"""Keeps annotations that would kill the process from pycocotools.

What can be told before a run is told there, with all faults of a set; these bounds hold
for runs that leave that out, and for whatever reads a data set in another way.
"""

from __future__ import annotations

from typing import NoReturn

from mmengine.dataset import Compose
from mmengine.evaluator import Evaluator

from .coco_masks import MASK_FAULTS, OUTLINE, fatal_fault, is_short, is_size


def check_instances(results: dict) -> dict:
    """What a pipeline gets, if its masks can be read.

    Args:
        results (dict): Of mmdet, with ``instances`` or without; returned as it is.

    Raises:
        ValueError: With the number of the object and what is wrong with it.
    """
    for number, instance in enumerate(results.get("instances") or ()):
        box = instance.get("bbox", ())
        if not all(abs(value) <= OUTLINE for value in box):  # NaN neither
            raise ValueError(
                f"object {number} has the corners {box}; write coordinates in px"
            )
        if instance.get("mask"):
            size = results["height"], results["width"]
            _check(instance["mask"], *size, f"object {number}")
    return results


def bound_dataset(dataset: object) -> None:
    """Has a dataset's pipeline begin with :func:`check_instances`.

    Args:
        dataset (Dataset): Of mmengine, or a wrapper around some; others stay as they
            are.
    """
    for inner in getattr(dataset, "datasets", ()):
        bound_dataset(inner)
    if hasattr(dataset, "dataset"):
        bound_dataset(dataset.dataset)
    pipeline = getattr(dataset, "pipeline", None)
    if isinstance(pipeline, Compose) and check_instances not in pipeline.transforms:
        pipeline.transforms.insert(0, check_instances)


def check_truth(evaluator: Evaluator) -> None:
    """Looks at the masks that metrics compare with, before anything is predicted.

    Args:
        evaluator (Evaluator): Of mmengine; metrics without COCO's masks stay as they
            are.

    Raises:
        ValueError: With the id of the annotation and what is wrong with its mask.
    """
    for metric in evaluator.metrics:
        truth = getattr(metric, "_coco_api", None)
        if truth is None or "segm" not in getattr(metric, "metrics", ()):
            continue
        classes = (metric.dataset_meta or {}).get("classes")
        for number, annotation in truth.anns.items():
            image = truth.imgs.get(annotation["image_id"])
            category = truth.cats.get(annotation["category_id"])
            if not (image and category) or (
                classes is not None and category["name"] not in classes
            ):
                continue
            mask, who = annotation.get("segmentation"), f"annotation {number}"
            _check(mask, image["height"], image["width"], who)
            if is_short(mask):
                _refuse(who, "short")


def _check(mask: object, height: int, width: int, who: str) -> None:
    if not is_size(height, width):
        raise ValueError(
            f"{who} is in an image of {width} x {height} px; write its size in px"
        )
    if kind := fatal_fault(mask, height, width):
        _refuse(who, kind)


def _refuse(who: str, kind: str) -> NoReturn:
    what, cure = MASK_FAULTS[kind]
    raise ValueError(f"{who} is one of the {what}; {cure}")
