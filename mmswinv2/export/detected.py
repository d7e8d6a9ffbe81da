"""What a detector itself finds, and how what a file finds differs from it."""
# n objects of a model, m of its file, h w masks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Objects = Mapping[str, np.ndarray]
FAR = 1.0  # px of a box, beyond which it is of another object


def predicted_objects(model: Any, batch: dict) -> dict[str, np.ndarray]:
    """What a detector predicts of one picture, masks before they are pasted.

    Args:
        model (nn.Module): Of MMDetection.
        batch (dict): As its test pipeline gives it.

    Returns:
        dict[str, ndarray]: ``boxes`` (n, 4), ``scores``, ``labels`` and perhaps
        ``masks`` (n, h, w).
    """
    logits: list[Tensor] = []
    heads = model.roi_head.mask_head if model.with_mask else nn.ModuleList()
    heads = heads if isinstance(heads, nn.ModuleList) else [heads]
    hooks = [
        head.register_forward_hook(lambda module, args, out: logits.append(out))
        for head in heads
    ]
    try:
        with torch.no_grad():
            found = model.test_step(batch)[0].pred_instances
    finally:
        for hook in hooks:
            hook.remove()
    objects = dict(boxes=found.bboxes, scores=found.scores, labels=found.labels)
    if len(heads):
        masks = torch.zeros(0, 1, 1, 1)
        if logits:
            masks = torch.stack([x.sigmoid() for x in logits]).sum(0)
        channels = found.labels * (masks.shape[1] > 1)
        rows = torch.arange(len(channels))
        objects["masks"] = masks[rows, channels] / len(heads)
    return {name: x.numpy() for name, x in objects.items()}


def differences_of_objects(expected: Objects, found: Objects) -> tuple[float, int]:
    """Compares objects, whatever their order.

    An object is the same where its label is and where no side of its box is farther
    away than 1 px: rounding may let another one of two that overlap survive, whose box
    is its own.

    Args:
        expected (Mapping): Of the model.
        found (Mapping): Of the file.

    Returns:
        tuple[float, int]: The largest difference of scores, masks and, over the largest
        coordinate, of boxes; the number of objects that only one of the two has.
    """
    n, m = len(expected["labels"]), len(found["labels"])
    apart = np.abs(expected["boxes"][:, None] - found["boxes"]).max(-1)  # (n, m)
    apart[expected["labels"][:, None] != found["labels"]] = np.inf
    # Boxes of one class may lie close together: scores tell them apart.
    apart += np.abs(expected["scores"][:, None] - found["scores"])
    difference, same = 0.0, 0
    largest = max(expected["boxes"].max(initial=1), 1)
    for _ in range(min(n, m)):
        i, j = np.unravel_index(apart.argmin(), apart.shape)
        if not apart[i, j] <= FAR:
            break
        apart[i], apart[:, j] = np.inf, np.inf
        same += 1
        for name, unit in (("boxes", largest), ("scores", 1), ("masks", 1)):
            if name in expected:
                distance = np.abs(expected[name][i] - found[name][j]).max() / unit
                difference = max(difference, float(distance))
    return difference, n + m - 2 * same
