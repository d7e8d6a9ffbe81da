"""What a config has to say of each method: its bases, and where its numbers go."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from mmswinv2.architectures import ARCHITECTURES

from .rendering import Code

CLASSES = Code("len(classes)")
HEADS = Code("heads")


@dataclass(frozen=True)
class Method:
    """A model and how it is trained.

    Attributes:
        model (str): Its file in configs/_base_/models, with a place for '-nano'.
        lr (float): Learning rate of its recipe at a batch of 16.
        data (str): Its file in configs/_base_/own_data.
        masks (bool): Whether it learns masks of objects.
    """

    model: str
    lr: float
    data: str
    masks: bool = False


COCO = {
    "mask-rcnn": Method("mask-rcnn_swinv2{}", 1e-4, "coco", masks=True),
    "faster-rcnn": Method("faster-rcnn_swinv2{}", 1e-4, "coco_boxes"),
    "cascade-mask-rcnn": Method("cascade-mask-rcnn_swinv2{}", 1e-4, "coco", masks=True),
    "cascade-rcnn": Method("cascade-rcnn_swinv2{}", 1e-4, "coco_boxes"),
    "retinanet": Method("retinanet_swinv2{}", 1e-4, "coco_boxes"),
    "dino": Method("dino_swinv2{}", 1e-4, "coco_boxes_dino"),
    "mask2former": Method(
        "mask2former_swinv2{}_coco", 1e-4, "coco_mask2former", masks=True
    ),
}
LABELS = {
    "upernet": Method("upernet_swinv2{}", 6e-5, "labels"),
    "mask2former": Method("mask2former_swinv2{}_ade20k", 1e-4, "labels_mask2former"),
}
ANCHORS = {"retinanet": 8}  # px, stride of the first anchors; 4 for R-CNNs
WITHOUT_ANCHORS = ("dino", "mask2former")


def channels(arch: str) -> list[int]:
    """Channels of the maps of a size."""
    return [ARCHITECTURES[arch].embed_dims * 2**i for i in range(4)]


def backbone(arch: str, *, with_cp: bool, weights: bool) -> dict:
    """Changes to the backbone of a base, which name 'window' and 'weights'."""
    changes: dict = {"**window": None}
    if arch not in ("nano", "tiny"):
        changes |= dict(arch=arch)
    if arch in ("base", "large"):
        changes |= dict(drop_path_rate=0.3)  # as in configs/coco
    if with_cp:
        changes |= dict(with_cp=True)
    return changes | (dict(init_cfg=Code("weights")) if weights else {})


def variables(method: str, weights: str | None, *, norm: bool) -> dict:
    """What changes to a model name: the weights, and what heads share."""
    named: dict = {}
    if weights:
        named |= dict(weights=dict(type="Pretrained", checkpoint=weights))
    if method == "mask2former":
        weight = Code("[1.0] * len(classes) + [0.1]")
        shared = dict(loss_cls=dict(class_weight=weight))
    else:
        shared = dict(num_classes=CLASSES)
    return named | dict(
        heads=shared | (dict(norm_cfg=Code("norm_cfg")) if norm else {})
    )


def detector(method: str, arch: str, named: Container[str]) -> dict:
    """Changes to the heads of a detector's base.

    Args:
        method (str): One of :data:`COCO`.
        arch (str): Size of the backbone.
        named (Container[str]): Which of the variables 'proposals', 'sampled' and
            'anchors' the config has beside 'heads' and 'max_per_img'.
    """
    limit = Code("max_per_img")
    wide = arch in ("base", "large")
    proposals = Code("proposals") if "proposals" in named else None
    if method == "mask2former":
        things = dict(num_things_classes=CLASSES)
        head: Any = dict(in_channels=channels(arch)) if wide else {}
        head |= {"**heads": None, "num_queries": limit} | things
        test = dict(max_per_image=limit)
        return dict(panoptic_head=head, panoptic_fusion_head=things, test_cfg=test)
    skipped = int(method in ("dino", "retinanet"))
    changes: dict[str, Any] = (
        dict(neck=dict(in_channels=channels(arch)[skipped:])) if wide else {}
    )
    if method == "dino":
        if proposals:
            changes |= dict(num_queries=proposals)
        return changes | dict(bbox_head=HEADS, test_cfg=dict(max_per_img=limit))
    if method == "retinanet":
        head = HEADS
        if "anchors" in named:
            anchors = dict(octave_base_scale=Code("anchors"))
            head = {"**heads": None, "anchor_generator": anchors}
        test = dict(nms_pre=proposals) if proposals else {}
        return changes | dict(bbox_head=head, test_cfg=test | dict(max_per_img=limit))
    if "anchors" in named:
        changes |= dict(rpn_head=dict(anchor_generator=dict(scales=Code("anchors"))))
    cascade = method.startswith("cascade")
    each = "[dict(head, **heads) for head in _base_.model.roi_head.bbox_head]"
    roi_head: dict[str, Any] = dict(bbox_head=Code(each) if cascade else HEADS)
    if COCO[method].masks:
        roi_head |= dict(mask_head=dict(num_classes=CLASSES) if cascade else HEADS)
    changes |= dict(roi_head=roi_head)
    if "sampled" in named:
        stages: Any = dict(sampler=dict(num=Code("sampled")))
        if cascade:
            stages = Code(
                "[\n    dict(stage, sampler=dict(stage.sampler, num=sampled))\n"
                "    for stage in _base_.model.train_cfg.rcnn\n]"
            )
        changes |= dict(train_cfg=dict(rcnn=stages))
    test = dict(rpn=proposals) if proposals else {}
    return changes | dict(test_cfg=test | dict(rcnn=dict(max_per_img=limit)))


def segmentor(method: str, arch: str) -> dict:
    """Changes to the heads of a segmentor's base, as :func:`detector`."""
    wide = arch in ("base", "large")
    head: Any = HEADS
    more: dict[str, Any] = dict(num_classes=CLASSES) if method == "mask2former" else {}
    if wide:
        more |= dict(in_channels=channels(arch))
    if more:
        head = {"**heads": None} | more
    # tests padded as training is: otherwise maps and windows have other sizes there
    padding = dict(size=Code("crop_size"), test_cfg=dict(size_divisor=32))
    changes = dict(data_preprocessor=padding, decode_head=head)
    if method == "mask2former" or arch == "nano":
        return changes
    auxiliary = {"**heads": None, "in_channels": channels(arch)[2]} if wide else HEADS
    return changes | dict(auxiliary_head=auxiliary)
