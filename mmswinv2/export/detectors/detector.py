"""A whole detector: a picture in, boxes with scores, labels and masks out."""
# H W the picture in px, n objects, h w a mask

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmcv.cnn.utils import fuse_conv_bn
from mmcv.ops import RoIAlign
from mmdet.models.dense_heads import RetinaHead, RPNHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import (
    BBoxHead,
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor

from mmswinv2.export.networks import Exported

from .dense import dense_boxes
from .operators import translations
from .regions import as_list, region_boxes, region_masks

BOX_HEADS = (BBoxHead, ConvFCBBoxHead, Shared2FCBBoxHead, Shared4Conv1FCBBoxHead)
NMS_OPTIONS = {"type", "iou_threshold", "class_agnostic", "split_thr"}


class ExportedDetector(Exported):
    """Gives ``boxes``, ``scores``, ``labels`` and perhaps ``masks`` of n objects.

    They are ``(n, 4)`` left, top, right, bottom in px of ``image``; ``(n,)``, the
    highest first; ``(n,)``, int64; and ``(n, h, w)``, how likely every part of a box
    belongs to the object.

    Args:
        model (nn.Module): RetinaNet, Faster, Mask or Cascade (Mask) R-CNN of
            MMDetection.
        preprocessor (Mapping): ``data_preprocessor`` of the config.

    Raises:
        ValueError: It is another detector, or has a part that files cannot have.
    """

    task = "detection"

    def __init__(self, model: Any, preprocessor: Mapping) -> None:
        super().__init__(preprocessor)
        check(model)
        if isinstance(model, TwoStageDetector):
            # Batch norm asks how many regions there are, which no graph knows
            fuse_conv_bn(model.roi_head)
        self.model: Any = model
        masks = ("masks",) if model.with_mask else ()
        self.output_names = ("boxes", "scores", "labels", *masks)

    @property
    def translations(self) -> Mapping:
        """See :class:`Exported`."""
        return translations()

    def facts(self) -> dict:
        """See :class:`Exported`."""
        test = self.model.test_cfg
        test = test.get("rcnn", test)
        return dict(
            limits=dict(
                score=test.get("score_thr", 0),
                objects=test["max_per_img"],
                mask=test.get("mask_thr_binary") if self.model.with_mask else None,
            )
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        sides = [torch.scalar_tensor(n, dtype=torch.float32) for n in image.shape[:2]]
        size = torch.stack(sides)
        model = self.model
        maps = model.extract_feat(self.prepare(image))
        if isinstance(model, SingleStageDetector):
            head = model.bbox_head
            return dense_boxes(head, maps, size, head.test_cfg, by_level=False)
        rpn, heads = model.rpn_head, model.roi_head
        proposals, *_ = dense_boxes(rpn, maps, size, rpn.test_cfg, by_level=True)
        boxes, scores, labels = region_boxes(heads, maps, proposals, size)
        if not heads.with_mask:
            return boxes, scores, labels
        return boxes, scores, labels, region_masks(heads, maps, boxes, labels)


def check(model: Any) -> None:
    """Raises ValueError where a detector computes something else than is written."""
    for what, value, allowed in _parts(model):
        if value not in allowed:
            name = getattr(value, "__name__", value)
            known = ", ".join(str(getattr(kind, "__name__", kind)) for kind in allowed)
            raise ValueError(
                f"the detector {type(model).__name__} cannot be exported whole: its "
                f"{what} is {name}, and files can have {known}; --what backbone "
                "exports its backbone"
            )


def _parts(model: Any) -> Iterator[tuple[str, Any, tuple]]:
    """What must be as is written here: its name, what it is and what it may be."""
    hosts = (SingleStageDetector, TwoStageDetector)
    predict = getattr(type(model), "predict", None)
    same = (host for host in hosts if predict is host.predict)
    yield "class", next(same, type(model)), hosts
    if isinstance(model, SingleStageDetector):
        yield "bbox_head", type(model.bbox_head), (RetinaHead,)
        yield from _dense_parts("bbox_head", model.bbox_head)
        return
    yield "rpn_head", type(model.rpn_head), (RPNHead,)
    yield from _dense_parts("rpn_head", model.rpn_head)
    heads = model.roi_head
    yield "roi_head", type(heads), (StandardRoIHead, CascadeRoIHead)
    yield "roi_head.shared_head", heads.with_shared_head, (False,)
    yield from _nms_parts("test_cfg.rcnn.nms", heads.test_cfg["nms"])
    for head in as_list(heads.bbox_head):
        yield "roi_head.bbox_head", type(head), BOX_HEADS
        yield "roi_head.bbox_head.custom_activation", head.custom_activation, (False,)
        yield "roi_head.bbox_head.with_reg", head.with_reg, (True,)
        yield from _coder_parts("roi_head.bbox_head", head)
    if heads.with_mask:
        for head in as_list(heads.mask_head):
            yield "roi_head.mask_head", type(head), (FCNMaskHead,)
    extractors = as_list(heads.bbox_roi_extractor)
    if heads.with_mask:
        extractors += as_list(heads.mask_roi_extractor)
    for extractor in extractors:
        yield "roi_extractor", type(extractor), (SingleRoIExtractor,)
        for layer in extractor.roi_layers:
            yield "roi_layer", type(layer), (RoIAlign,)
            yield "roi_layer.pool_mode", layer.pool_mode, ("avg",)


def _dense_parts(name: str, head: Any) -> Iterator[tuple[str, Any, tuple]]:
    custom = getattr(head.loss_cls, "custom_cls_channels", False)
    yield f"{name}.loss_cls.custom_cls_channels", custom, (False,)
    yield from _coder_parts(name, head)
    yield from _nms_parts(f"nms of the {name}", head.test_cfg["nms"])


def _coder_parts(name: str, head: Any) -> Iterator[tuple[str, Any, tuple]]:
    yield f"{name}.bbox_coder", type(head.bbox_coder), (DeltaXYWHBBoxCoder,)


def _nms_parts(name: str, cfg: Mapping) -> Iterator[tuple[str, Any, tuple]]:
    yield f"{name}.type", cfg.get("type", "nms"), ("nms",)
    for option in cfg:
        yield f"option of {name}", option, tuple(sorted(NMS_OPTIONS))
