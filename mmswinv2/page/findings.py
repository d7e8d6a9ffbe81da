"""What was found in a picture: chosen classes of it, as rows, and against another."""
# n objects, H W picture in px

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmswinv2.drawing import top_classes
from mmswinv2.drawing.bands import count_labels
from mmswinv2.drawing.samples import INSTANCES_PER_CLASS

SAME_OBJECT = 0.5  # IoU of boxes from which on two are of one object


def label_map(sample: BaseDataElement) -> np.ndarray | None:
    """Class of every pixel, ``(H, W)``; None for what has none."""
    if "pred_sem_seg" in sample:
        return sample.pred_sem_seg.data[0].cpu().numpy()
    if "pred_panoptic_seg" in sample:
        labels = sample.pred_panoptic_seg.sem_seg
        labels = labels.cpu().numpy() if isinstance(labels, torch.Tensor) else labels
        return labels[0] % INSTANCES_PER_CLASS
    return None


def only_classes(
    sample: BaseDataElement, classes: Collection[int], count: int
) -> BaseDataElement:
    """A prediction without the classes that are not wished for.

    Args:
        sample (BaseDataElement): It stays as it is.
        classes (Collection[int]): Those to keep; all if there are none.
        count (int): Classes of the model.
    """
    if not classes or "pred_score" in sample:
        return sample
    kept = sample.new()
    labels = label_map(sample)
    if labels is not None:
        labels = np.where(np.isin(labels, list(classes)), labels, count)
        kept.pred_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
        return kept
    objects = sample.pred_instances
    kept.pred_instances = objects[torch.isin(objects.labels, torch.tensor([*classes]))]
    return kept


def surer(objects: InstanceData, score: float) -> InstanceData:
    """Objects of more than a score, the surest first."""
    objects = objects[objects.scores > score]
    return objects[objects.scores.argsort(descending=True)]


def present_classes(sample: BaseDataElement, count: int) -> list[int]:
    """Numbers of the classes that were found at any score, the most frequent first."""
    if "pred_score" in sample:
        return []
    labels = label_map(sample)
    if labels is None:
        labels = sample.pred_instances.labels.numpy()[None]
    counts = count_labels(labels, count)
    return [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]


def rows_of(
    sample: BaseDataElement, meta: Mapping, score: float
) -> tuple[tuple[str, ...], list[tuple[int, tuple[str, ...]]]]:
    """What was found, as a table.

    Args:
        sample (BaseDataElement): A prediction.
        meta (Mapping): ``classes``.
        score (float): Objects of no more are left out.

    Returns:
        tuple: Heads of the columns, and rows, each with the number of its class.
    """
    if "pred_score" in sample:
        best = top_classes(sample, meta)
        return ("class", "score"), [(i, (name, f"{s:.3f}")) for i, name, s in best]
    classes = meta["classes"]
    labels = label_map(sample)
    if labels is not None:
        shares = count_labels(labels, len(classes)) / labels.size
        present = present_classes(sample, len(classes))
        return ("class", "share"), [
            (i, (classes[i], f"{shares[i]:.1%}")) for i in present
        ]
    objects = surer(sample.pred_instances, score)
    rows: list[tuple[int, tuple[str, ...]]] = []
    for index, score, box in zip(
        objects.labels.tolist(), objects.scores.tolist(), objects.bboxes.tolist()
    ):
        left, top, right, bottom = map(round, box)
        place = f"{left}, {top}, {right - left} x {bottom - top}"
        rows.append((index, (classes[index], f"{score:.2f}", place)))
    return ("class", "score", "x, y, w x h in px"), rows


def difference(
    first: BaseDataElement, second: BaseDataElement, meta: Mapping, score: float
) -> str:
    """What two predictions of one picture, A and B, do not share, in a sentence."""
    if "pred_score" in first:
        change = (first.pred_score - second.pred_score).abs()
        name = meta["classes"][int(change.argmax())].split(",")[0]
        return f"A score differs by at most {change.max():.3f} ({name})."
    labels = label_map(first)
    if labels is not None:
        share = np.mean(labels != label_map(second))
        return f"The class differs at {share:.2%} of the pixels."
    ours, theirs = (surer(s.pred_instances, score) for s in (first, second))
    both = _shared(ours, theirs)
    return (
        f"A finds {len(ours.labels)}, B {len(theirs.labels)}: {both} in both, "
        f"{len(ours.labels) - both} in A only, {len(theirs.labels) - both} in B only "
        f"(one class, boxes that overlap by {SAME_OBJECT:.0%} or more)."
    )


def _shared(first: InstanceData, second: InstanceData) -> int:
    """Objects of both, each taken once, the surest first."""
    from mmcv.ops import bbox_overlaps

    overlaps = bbox_overlaps(first.bboxes, second.bboxes)  # (n, m)
    overlaps[first.labels[:, None] != second.labels] = 0
    count = 0
    for row in overlaps if overlaps.numel() else ():
        best = int(row.argmax())
        if row[best] >= SAME_OBJECT:
            overlaps[:, best] = 0
            count += 1
    return count
