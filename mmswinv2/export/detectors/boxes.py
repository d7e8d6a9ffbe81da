"""Boxes and scores in plain operators, whose number is known at run time only."""
# n candidates, k kept, D channels of deltas

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import onnx_delta2bbox
from torch import Tensor

from .operators import nms


def best(scores: Tensor, *, limit: int, above: float) -> tuple[Tensor, Tensor]:
    """The highest scores, at most ``limit`` of them.

    Args:
        scores (Tensor): ``(n,)``, all of them at least 0.
        limit (int): Their largest number; 0 or less for all.
        above (float): Scores up to this one are left out.

    Returns:
        tuple[Tensor, Tensor]: Scores ``(k,)``, the highest first, and their indices.
    """
    if limit <= 0:
        index = (scores > above).nonzero().squeeze(1)
        return scores[index], index
    # There are always ``limit`` to take from: a number that depends on the picture's
    # size would bind the file to it.
    scores, index = F.pad(scores, (0, limit), value=-1.0).topk(limit)
    kept = (scores > max(above, -1.0)).nonzero().squeeze(1)
    return scores[kept], index[kept]


def decode(coder: Any, boxes: Tensor, deltas: Tensor, size: Tensor) -> Tensor:
    """Boxes ``(n, 4)`` moved by their deltas ``(n, 4)``, within a picture.

    Args:
        coder (DeltaXYWHBBoxCoder): The head's.
        boxes (Tensor): Left, top, right, bottom in px.
        deltas (Tensor): As the head gives them.
        size (Tensor): Height and width of the picture in px, ``(2,)``.
    """
    # Its decode() asks whether there are any, which no graph can.
    boxes = onnx_delta2bbox(
        boxes,
        deltas,
        coder.means,
        coder.stds,
        add_ctr_clamp=coder.add_ctr_clamp,
        ctr_clamp=coder.ctr_clamp,
    )
    if not coder.clip_border:
        return boxes
    return boxes.clamp(min=0).minimum(size.flip(0).repeat(2))


def suppress(
    boxes: Tensor, scores: Tensor, groups: Tensor, *, nms_cfg: Mapping, limit: int
) -> Tensor:
    """Non-maximum suppression within groups, as :func:`mmcv.ops.batched_nms`.

    Args:
        boxes (Tensor): ``(n, 4)`` in px.
        scores (Tensor): ``(n,)``.
        groups (Tensor): Boxes of different numbers leave each other alone, ``(n,)``.
        nms_cfg (Mapping): The config's, with ``iou_threshold``.
        limit (int): Largest number of boxes that are kept; 0 or less for all.

    Returns:
        Tensor: Indices ``(k,)`` of what is kept, the highest scores first.
    """
    if not nms_cfg.get("class_agnostic", False):
        # Groups are set apart exactly as far as there, since that rounds the boxes.
        apart = F.pad(boxes.flatten(), (0, 1)).max() + 1
        boxes = boxes + (groups.to(boxes) * apart)[:, None]
    kept = nms(boxes, scores, nms_cfg["iou_threshold"])
    return kept[:limit] if limit > 0 else kept
