"""The objects of a large picture, each once, from those of its tiles and copies."""
# n objects; H W of the picture, in px

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmcv.ops import batched_nms
from mmengine.structures import InstanceData
from torch import Tensor

from .grid import Span
from .masks import CroppedMasks

MARGIN = 0.01  # of a tile; who ends nearer to an inner border may be cut by it
IOU = 0.5  # of detectors that have no NMS of their own


def inside(boxes: Tensor, rows: Span, columns: Span, size: Span, margin: int) -> Tensor:
    """Which boxes (n, 4) in px of a tile no inner border of it cuts."""
    (top, bottom), (left, right) = rows, columns
    x1, y1, x2, y2 = boxes.unbind(-1)
    whole = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    if left > 0:
        whole &= x1 >= margin
    if top > 0:
        whole &= y1 >= margin
    if right < size[1]:
        whole &= x2 <= right - left - margin
    if bottom < size[0]:
        whole &= y2 <= bottom - top - margin
    return whole


def place(
    found: InstanceData, size: Span, *, at: Span = (0, 0), level: Span | None = None
) -> InstanceData:
    """Objects of a tile or of a copy, as objects of the picture, on the CPU.

    Args:
        found (InstanceData): ``bboxes``, ``scores``, ``labels`` and perhaps ``masks``.
        size (tuple[int, int]): (H, W) of the picture.
        at (tuple[int, int]): Row and column of the tile's corner, in px of the copy.
        level (tuple[int, int], optional): (H, W) of the copy. Defaults to ``size``.
    """
    scale = (1.0, 1.0) if level in (None, size) else _by(size, level)
    placed = InstanceData()
    corner = torch.tensor([at[1], at[0]] * 2)
    factor = torch.tensor([scale[1], scale[0]] * 2)
    placed.bboxes = (found.bboxes.cpu().float() + corner) * factor
    placed.scores, placed.labels = found.scores.cpu(), found.labels.cpu()
    if "masks" in found:
        bitmaps = found.masks.cpu().numpy()
        placed.masks = CroppedMasks.cut_out(bitmaps, size, at=at, scale=scale)
    return placed


def _by(size: Span, level: Span) -> tuple[float, float]:
    return size[0] / level[0], size[1] / level[1]


def own_nms(test_cfg: Mapping) -> dict:
    """How a detector's own NMS joins boxes, as a plain one: scores stay as they are."""
    own = (test_cfg.get("rcnn") or test_cfg).get("nms") or {}
    rules = dict(type="nms", iou_threshold=own.get("iou_threshold", IOU))
    if "class_agnostic" in own:
        rules["class_agnostic"] = own["class_agnostic"]
    return rules


def merge(parts: Sequence[InstanceData], nms: dict) -> InstanceData:
    """Objects of all tiles, each once, the surest first."""
    found = InstanceData.cat([part for part in parts if len(part)] or [parts[0]])
    if not len(found):
        return found
    _, kept = batched_nms(found.bboxes, found.scores, found.labels, nms_cfg=nms)
    return found[kept]
