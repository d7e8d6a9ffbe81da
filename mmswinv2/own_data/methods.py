"""What a config has to say of each method: its bases, and where its numbers go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmswinv2.architectures import ARCHITECTURES

from .rendering import Code

CLASSES = Code("len(classes)")


@dataclass(frozen=True)
class Method:
    """A model and how it is trained.

    Attributes:
        model (str): Its file in configs/_base_/models, with a place for '-nano'.
        lr (float): Learning rate of its recipe at a batch of 16.
        schedule (str): Its file in configs/_base_/schedules.
        masks (bool): Whether it learns masks of objects.
        reason (str): When to take it.
    """

    model: str
    lr: float
    schedule: str = "own_data"
    masks: bool = False
    reason: str = ""


COCO = {
    "mask-rcnn": Method("mask-rcnn_swinv2{}", 1e-4, masks=True),
    "faster-rcnn": Method("faster-rcnn_swinv2{}", 1e-4),
    "cascade-mask-rcnn": Method("cascade-mask-rcnn_swinv2{}", 1e-4, masks=True),
    "cascade-rcnn": Method("cascade-rcnn_swinv2{}", 1e-4),
    "retinanet": Method("retinanet_swinv2{}", 1e-4),
    "dino": Method("dino_swinv2{}", 1e-4, "own_data_dino"),
    "mask2former": Method(
        "mask2former_swinv2{}_coco", 1e-4, "own_data_mask2former", masks=True
    ),
}
LABELS = {
    "upernet": Method("upernet_swinv2{}", 6e-5),
    "mask2former": Method("mask2former_swinv2{}_ade20k", 1e-4, "own_data_mask2former"),
}
ANCHORS = {"retinanet": 8}  # px, stride of the first anchors; 4 for R-CNNs
WITHOUT_ANCHORS = ("dino", "mask2former")


def channels(arch: str) -> list[int]:
    """Channels of the maps of a size."""
    return [ARCHITECTURES[arch].embed_dims * 2**i for i in range(4)]


def backbone(arch: str, weights: str | None, *, with_cp: bool) -> dict:
    """Changes to the backbone of a base."""
    changes: dict = {} if arch in ("nano", "tiny") else dict(arch=arch)
    if arch in ("base", "large"):
        changes |= dict(drop_path_rate=0.3)  # as in configs/coco
    changes |= dict(window_size=Code("window_size"), window_fit="divide")
    if with_cp:
        changes |= dict(with_cp=True)
    if weights:
        changes |= dict(init_cfg=dict(type="Pretrained", checkpoint=weights))
    return changes


def detector(
    method: str,
    arch: str,
    *,
    crowded: bool,
    more_proposals: bool,
    anchors: Sequence[int] | int | None,
    norm: bool,
) -> dict:
    """Changes to the heads of a detector's base.

    Args:
        method (str): One of :data:`COCO`.
        arch (str): Size of the backbone.
        crowded (bool): Whether training samples more boxes.
        more_proposals (bool): Whether the config has a number of proposals.
        anchors (Sequence[int] | int, optional): Other scales of the anchors.
        norm (bool): Whether the config has another norm for its heads.
    """
    head = dict(num_classes=CLASSES)
    limit = Code("max_per_img")
    wide = arch in ("base", "large")
    if method == "mask2former":
        fusion = dict(num_things_classes=CLASSES)
        panoptic = dict(in_channels=channels(arch)) if wide else {}
        weight = Code("[1.0] * len(classes) + [0.1]")
        panoptic |= fusion | dict(
            num_queries=limit, loss_cls=dict(class_weight=weight)
        )
        return dict(
            panoptic_head=panoptic,
            panoptic_fusion_head=fusion,
            test_cfg=dict(max_per_image=limit),
        )
    skipped = int(method in ("dino", "retinanet"))
    changes = dict(neck=dict(in_channels=channels(arch)[skipped:])) if wide else {}
    if method in ("dino", "retinanet"):
        if anchors:
            head |= dict(anchor_generator=dict(octave_base_scale=anchors))
        changes |= dict(bbox_head=head, test_cfg=dict(max_per_img=limit))
        if more_proposals and method == "dino":
            changes = dict(num_queries=Code("proposals")) | changes
        elif more_proposals:
            changes["test_cfg"] |= dict(nms_pre=Code("proposals"))
        return changes
    if anchors:
        changes |= dict(rpn_head=dict(anchor_generator=dict(scales=anchors)))
    cascade = method.startswith("cascade")
    roi_head: dict = dict(bbox_head=head)
    if cascade:
        more = ", norm_cfg=norm_cfg" if norm else ""
        roi_head["bbox_head"] = Code(
            f"[\n    dict(head, num_classes=len(classes){more})\n"
            "    for head in _base_.model.roi_head.bbox_head\n]"
        )
    if COCO[method].masks:
        roi_head |= dict(mask_head=head)
    changes |= dict(roi_head=roi_head)
    if crowded:
        sampler = dict(num=Code("sampled"))
        stages = dict(sampler=sampler)
        if cascade:
            stages = Code(
                "[\n    dict(stage, sampler=dict(stage.sampler, num=sampled))\n"
                "    for stage in _base_.model.train_cfg.rcnn\n]"
            )
        changes |= dict(train_cfg=dict(rcnn=stages))
    test = dict(rcnn=dict(max_per_img=limit))
    if more_proposals:
        number = Code("proposals")
        test = dict(rpn=dict(nms_pre=number, max_per_img=number)) | test
    return changes | dict(test_cfg=test)


def segmentor(method: str, arch: str, *, norm: bool) -> dict:
    """Changes to the heads of a segmentor's base, as :func:`detector`."""
    head: dict = {}
    if arch in ("base", "large"):
        head = dict(in_channels=channels(arch))
    head |= dict(num_classes=CLASSES)
    changes = dict(data_preprocessor=dict(size=Code("crop_size")))
    if method == "mask2former":
        weight = Code("[1.0] * len(classes) + [0.1]")
        head |= dict(loss_cls=dict(class_weight=weight))
        return changes | dict(decode_head=head)
    if norm:
        head |= dict(norm_cfg=Code("norm_cfg"))
    changes |= dict(decode_head=head)
    if arch != "nano":
        auxiliary = dict(head)
        if "in_channels" in head:
            auxiliary |= dict(in_channels=channels(arch)[2])
        changes |= dict(auxiliary_head=auxiliary)
    return changes
