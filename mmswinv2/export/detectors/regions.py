"""Box and mask heads of regions: those of Mask R-CNN and of cascades."""
# n regions, k kept, C channels, L classes, h w maps

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .boxes import decode, suppress
from .operators import roi_align


def region_features(extractor: Any, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Features ``(n, C, h, w)`` of boxes ``(n, 4)``, each from the map of its scale.

    Args:
        extractor (SingleRoIExtractor): The head's.
        maps (Sequence[Tensor]): The neck's, ``(1, C, h, w)`` each.
        boxes (Tensor): In px.
    """
    maps = maps[: extractor.num_inputs]
    regions = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)  # of image 0
    levels = extractor.map_roi_levels(regions, len(maps))
    features, places = [], []
    for level, (layer, values) in enumerate(zip(extractor.roi_layers, maps)):
        place = (levels == level).nonzero().squeeze(1)
        places.append(place)
        features.append(
            roi_align(
                values,
                boxes[place],
                *layer.output_size,
                layer.spatial_scale,
                layer.sampling_ratio,
                layer.aligned,
            )
        )
    return torch.cat(features)[torch.cat(places).argsort()]


def region_boxes(
    roi_head: Any, maps: Sequence[Tensor], boxes: Tensor, size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the box heads make of proposals, as their own ``predict_bbox``.

    Args:
        roi_head (StandardRoIHead | CascadeRoIHead): With its ``test_cfg``.
        maps (Sequence[Tensor]): The neck's, ``(1, C, h, w)`` each.
        boxes (Tensor): Proposals ``(n, 4)`` in px.
        size (Tensor): Height and width of the picture in px, ``(2,)``.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Boxes ``(k, 4)`` in px, scores and labels
        ``(k,)``, the highest scores first.
    """
    stages = list(
        zip(as_list(roi_head.bbox_roi_extractor), as_list(roi_head.bbox_head))
    )
    all_logits = []
    for number, (extractor, head) in enumerate(stages, 1):
        logits, deltas = head(region_features(extractor, maps, boxes))
        all_logits.append(logits)
        if number < len(stages):
            labels = logits[:, :-1].argmax(1)
            boxes = decode(
                head.bbox_coder, boxes, _of_classes(deltas, labels, head), size
            )
    scores = (sum(all_logits) / len(all_logits)).softmax(-1)[:, :-1]

    cfg: Mapping = roi_head.test_cfg
    regions, labels = (scores > cfg.get("score_thr", 0)).nonzero().unbind(1)
    scores = scores[regions, labels]
    deltas = _of_classes(deltas[regions], labels, head)
    boxes = decode(head.bbox_coder, boxes[regions], deltas, size)
    kept = suppress(boxes, scores, labels, nms_cfg=cfg["nms"], limit=cfg["max_per_img"])
    return boxes[kept], scores[kept], labels[kept]


def _of_classes(deltas: Tensor, labels: Tensor, head: Any) -> Tensor:
    """Of deltas ``(n, 4)`` or ``(n, 4 L)`` those of one class each, ``(n, 4)``."""
    if head.reg_class_agnostic:
        return deltas
    first = 4 * labels[:, None]
    return deltas.gather(1, first + torch.arange(4, device=labels.device))


def region_masks(
    roi_head: Any, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor
) -> Tensor:
    """Probabilities ``(n, h, w)`` of being the object, in each box.

    Args:
        roi_head (StandardRoIHead | CascadeRoIHead): With a mask head.
        maps (Sequence[Tensor]): The neck's, ``(1, C, h, w)`` each.
        boxes (Tensor): ``(n, 4)`` in px.
        labels (Tensor): ``(n,)``.
    """
    stages = zip(as_list(roi_head.mask_roi_extractor), as_list(roi_head.mask_head))
    masks = []
    for extractor, head in stages:
        of_classes = head(region_features(extractor, maps, boxes))
        channels = torch.zeros_like(labels) if head.class_agnostic else labels
        rows = torch.arange(labels.shape[0], device=labels.device)
        masks.append(of_classes[rows, channels].sigmoid())
    return sum(masks) / len(masks)


def as_list(heads: Any) -> list[Any]:
    """The heads of all stages."""
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]
