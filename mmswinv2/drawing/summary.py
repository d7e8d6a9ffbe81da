"""What was found in a picture, in one line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.structures import BaseDataElement

from .bands import count_labels
from .class_scores import top_classes

SHOWN = 4  # classes named per picture, the largest first


def describe(
    prediction: BaseDataElement, classes: Sequence[str], score_thr: float
) -> str:
    """What was found.

    Objects as '3 person, 1 dog'; classes as 'sky 41%, building 22%' of the area, or, of
    a whole picture, as 'tench 0.93, goldfish 0.02' with their scores.

    Args:
        prediction (BaseDataElement): ``pred_instances``, ``pred_sem_seg`` or
            ``pred_score``.
        classes (Sequence[str]): Their names.
        score_thr (float): Detections below it are left out.
    """
    if "pred_score" in prediction:
        best = top_classes(prediction, dict(classes=classes))
        return ", ".join(f"{name} {score:.2f}" for _, name, score in best)
    counts = count_classes(prediction, len(classes), score_thr)
    largest = [i for i in np.argsort(-counts, kind="stable") if counts[i]][:SHOWN]
    if "pred_sem_seg" in prediction:
        area = prediction.pred_sem_seg.data.numel()
        return ", ".join(f"{classes[i]} {counts[i] / area:.0%}" for i in largest)
    named = [f"{counts[i]} {classes[i]}" for i in largest]
    rest = counts.sum() - counts[largest].sum()
    return ", ".join(named + [f"{rest} other"] * bool(rest)) or "nothing"


def count_classes(
    prediction: BaseDataElement, count: int, score_thr: float
) -> np.ndarray:
    """How many objects or px of each of ``count`` classes were found."""
    if "pred_sem_seg" in prediction:
        return count_labels(prediction.pred_sem_seg.data[0].cpu().numpy(), count)
    found = prediction.pred_instances
    labels = found.labels[found.scores > score_thr].cpu().numpy()
    return np.bincount(labels, minlength=count)
