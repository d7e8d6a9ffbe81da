"""Boxes of a head that has anchors at every pixel: RetinaNet's and an RPN's."""
# n candidates, k kept, A anchors of a pixel, L classes, h w maps

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .boxes import best, decode, suppress


def dense_boxes(
    head: Any,
    maps: Sequence[Tensor],
    size: Tensor,
    cfg: Mapping,
    *,
    by_level: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """What a head with anchors finds, as its own ``predict_by_feat``.

    Args:
        head (AnchorHead): Such as a RetinaHead or an RPNHead.
        maps (Sequence[Tensor]): The neck's, ``(1, C, h, w)`` each.
        size (Tensor): Height and width of the picture in px, ``(2,)``.
        cfg (Mapping): ``test_cfg`` of the head.
        by_level (bool): As in an RPN: boxes suppress others of their map, not others of
            their class, and no score is too low.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Boxes ``(k, 4)`` in px, scores and labels
        ``(k,)``, the highest scores first.
    """
    all_scores, all_deltas = head(maps)
    sizes = [scores.shape[-2:] for scores in all_scores]
    priors = head.prior_generator.grid_priors(
        sizes, dtype=maps[0].dtype, device=maps[0].device
    )
    above = -1.0 if by_level else cfg.get("score_thr", 0)
    found = []
    for level, (scores, deltas) in enumerate(zip(all_scores, all_deltas)):
        scores = scores[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
        deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)
        if head.use_sigmoid_cls:
            scores = scores.sigmoid()
        else:
            scores = scores.softmax(-1)[:, :-1]
        classes = scores.shape[1]
        limit = cfg.get("nms_pre", -1)
        scores, index = best(scores.flatten(), limit=limit, above=above)
        anchors = index // classes
        groups = torch.full_like(index, level) if by_level else index % classes
        boxes = decode(head.bbox_coder, priors[level][anchors], deltas[anchors], size)
        found.append((boxes, scores, groups))
    boxes, scores, groups = map(torch.cat, zip(*found))
    smallest = cfg.get("min_bbox_size", -1)
    if smallest >= 0:
        wide = (boxes[:, 2:] - boxes[:, :2] > smallest).all(1).nonzero().squeeze(1)
        boxes, scores, groups = boxes[wide], scores[wide], groups[wide]
    kept = suppress(boxes, scores, groups, nms_cfg=cfg["nms"], limit=cfg["max_per_img"])
    return boxes[kept], scores[kept], groups[kept]
