"""Test-time augmentation of detectors that also predict masks."""
# n detections of one image, H W its size in px

from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor

from mmswinv2.registry import MODELS


@MODELS.register_module()
class InstanceTTAModel(BaseTTAModel):
    """Merges boxes and masks of scaled and flipped views.

    Boxes go through one non-maximum suppression. The mask of a box that is left is the
    mean, weighted by score, of the masks of its class whose boxes overlap it by more
    than the threshold of the suppression, cut at 0.5. mmdet's ``DetTTAModel`` merges
    boxes alone.

    Args:
        tta_cfg (dict): ``nms``, as in ``test_cfg.rcnn``, and ``max_per_img``; without
            it all are kept.
        **kwargs (Any): ``module`` and ``data_preprocessor``, see mmengine.

    Examples:
        >>> tta_model = dict(
        ...     type="mmswinv2.InstanceTTAModel",
        ...     tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),
        ... )
    """

    def __init__(self, tta_cfg: dict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tta_cfg = tta_cfg

    def test_step(self, data: dict) -> list[BaseDataElement]:
        """Detect in all views of a batch and merge them, see mmengine.

        The detector is not told of flips: mmdet's cascades would turn the masks back by
        themselves, before they are pasted, in a way that torch refuses.
        """
        for views in data["data_samples"]:
            for view in views:
                flip = view.metainfo.get("flip", False)
                direction = view.metainfo.get("flip_direction") if flip else None
                view.set_metainfo(dict(flip=False, view_flip=direction))
        return super().test_step(data)

    def merge_preds(
        self, data_samples_list: list[list[BaseDataElement]]
    ) -> list[BaseDataElement]:
        """The views of every image -> one sample per image, with ``pred_instances``."""
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: list[BaseDataElement]) -> BaseDataElement:
        from mmcv.ops import batched_nms, bbox_overlaps

        found = InstanceData.cat([_upright(view) for view in views])
        merged = views[0]
        if len(found) == 0:
            merged.pred_instances = found
            return merged
        nms = self.tta_cfg["nms"]
        kept, indices = batched_nms(found.bboxes, found.scores, found.labels, nms)
        kept = kept[: self.tta_cfg.get("max_per_img")]
        indices = indices[: len(kept)]
        result = InstanceData(
            bboxes=kept[:, :4], scores=kept[:, 4], labels=found.labels[indices]
        )
        if "masks" in found:
            overlaps = bbox_overlaps(found.bboxes[indices], found.bboxes)
            same = overlaps > nms["iou_threshold"]
            same &= found.labels[indices, None] == found.labels
            same[torch.arange(len(indices)), indices] = True  # empty boxes too
            result.masks = torch.stack(
                [_mean_mask(found.masks[row], found.scores[row]) for row in same]
            )
        merged.pred_instances = result
        return merged


def _mean_mask(masks: Tensor, scores: Tensor) -> Tensor:
    """``(n, H, W)`` bool, ``(n,)`` -> ``(H, W)`` bool."""
    weights = (scores / scores.sum().clamp(min=1e-6)).to(torch.float32)
    return torch.einsum("nhw,n->hw", masks.float(), weights) > 0.5


def _upright(view: BaseDataElement) -> InstanceData:
    """The detections of a view in the coordinates of the image as it was."""
    found = view.pred_instances
    fields = dict(bboxes=found.bboxes, scores=found.scores, labels=found.labels)
    if "masks" in found:
        fields["masks"] = found.masks
    if direction := view.metainfo.get("view_flip"):
        if direction != "horizontal":
            raise ValueError(
                f"flip_direction={direction!r}: only horizontal flips are merged"
            )
        width = view.metainfo["ori_shape"][1]
        x1, y1, x2, y2 = found.bboxes.unbind(1)
        fields["bboxes"] = torch.stack([width - x2, y1, width - x1, y2], dim=1)
        if "masks" in found:
            fields["masks"] = found.masks.flip(-1)
    return InstanceData(**fields)
