"""Parts of a config that do not fit each other or the data."""

import pytest
from mmdet.models import FCNMaskHead
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from tiny import DET, ROOT

from mmswinv2.apis import find_config
from mmswinv2.own_data.checks.heads import (
    check_backbone,
    check_classes,
    check_norms,
    check_sliding,
    predicts_masks,
)

CASCADE = "cascade-mask-rcnn_swinv2-t-p4-w16_fpn_ms-crop-3x_coco"
HTC = "htc_swinv2-b-p4-w16-in22k_fpn_ms-crop-3x_coco"
DINO = "dino-4scale_swinv2-t-p4-w16_8xb2-12e_coco"
RETINA = "retinanet_swinv2-t-p4-w16_fpn_1x_coco"
QUERIES = "mask2former_swinv2-t-p4-w16_8xb2-lsj-50e_coco"
UPERNET = "swinv2-t-p4-w8-in1k-256-pre_upernet_8xb2-160k_ade20k-512x512"
SEG_QUERIES = "swinv2-t-p4-w16-in1k-256-pre_mask2former_8xb2-160k_ade20k-512x512"


def load(name: str) -> Config:
    cfg = Config.fromfile(find_config(name))
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        (CASCADE, ["roi_head.bbox_head.2.num_classes=80", "mask_head.num_classes=80"]),
        (HTC, ["roi_head.mask_head.0.num_classes=80"]),
        (DINO, ["bbox_head.num_classes=80"]),
        (RETINA, ["bbox_head.num_classes=80"]),
        (QUERIES, ["panoptic_head.num_things_classes=80", "panoptic_fusion_head.num"]),
        (UPERNET, ["decode_head.num_classes=150", "auxiliary_head.num_classes=150"]),
        (SEG_QUERIES, ["decode_head.num_classes=150"]),
    ],
)
def test_classes(name: str, heads: list[str]) -> None:
    """Heads are compared with the data, but for those that tell other things."""
    cfg = load(name)
    right = 80 if cfg.default_scope == "mmdet" else 150
    assert [*check_classes(cfg.model, right, "data")] == []
    (finding,) = check_classes(cfg.model, 3, "train_dataloader.dataset")
    assert finding.severity == "error"
    for head in heads:
        assert head in str(finding)
    for other in ("semantic_head", "rpn_head", "backbone"):
        assert other not in str(finding)
    assert "write 3 there" in finding.cure


def test_default_number_of_classes() -> None:
    """A head that does not say its number has its class's own, also as a type."""
    cfg = load(DET)
    head = cfg.model.roi_head.mask_head
    head.update(type=FCNMaskHead, class_agnostic=False)
    cfg.model.roi_head.bbox_head.num_classes = 3
    del head["num_classes"]
    (finding,) = check_classes(cfg.model, 3, "data")
    assert finding.examples == ("roi_head.mask_head.num_classes=80 by default",)


@pytest.mark.parametrize(("name", "head"), [(QUERIES, "panoptic_head"), (UPERNET, "")])
def test_class_weights(name: str, head: str) -> None:
    """Losses need one weight a class, a softmax over objects one more."""
    cfg = load(name)
    if head:
        cfg.model.panoptic_head.num_things_classes = 3
        cfg.model.panoptic_fusion_head.num_things_classes = 3
    else:
        cfg.model.decode_head.update(num_classes=3)
        cfg.model.auxiliary_head.update(num_classes=3)
        cfg.model.decode_head.loss_decode.class_weight = [1.0] * 4
    (finding,) = check_classes(cfg.model, 3, "data")
    assert "losses have weights of another number of classes than 3" in finding.what


@pytest.mark.parametrize(
    ("name", "masks"),
    [(CASCADE, True), (HTC, True), (QUERIES, True), (DINO, False), (RETINA, False)],
)
def test_masks(name: str, masks: bool) -> None:
    """Which detectors give masks."""
    assert predicts_masks(load(name).model) == masks


def test_keys_of_swin_v1() -> None:
    """A V1 backbone that was renamed and not replaced."""
    cfg = load(DET)
    assert [*check_backbone(cfg.model, cfg.default_scope)] == []
    cfg.model.backbone.update(qk_scale=None, patch_norm=True, convert_weights=True)
    (finding,) = check_backbone(cfg.model, cfg.default_scope)
    assert finding.severity == "error"
    assert "Swin V1's qk_scale, convert_weights" in finding.what
    assert "_delete_=True" in finding.cure


@pytest.mark.parametrize(
    ("kind", "batch", "processes", "pictures", "expected"),
    [
        ("BN", 2, 1, 8, None),
        ("BN", 1, 8, 8, "error"),
        ("SyncBN", 1, 8, 8, None),
        ("SyncBN", 1, 1, 8, "error"),
        ("SyncBN", 1, None, 8, "warning"),
        ("GN", 1, 1, 8, None),
        ("BN", 2, 1, 9, "error"),  # the last batch
        ("BN", 2, 1, None, None),
    ],
)
def test_batch_norm(
    kind: str, batch: int, processes: int, pictures: int, expected: str | None
) -> None:
    """One picture at a time has one value a channel where a head pools its map."""
    cfg = load(UPERNET)
    cfg.model.decode_head.norm_cfg.type = kind
    cfg.model.auxiliary_head.norm_cfg.type = kind
    cfg.train_dataloader.update(batch_size=batch, sampler=dict(type="DefaultSampler"))
    found = [f.severity for f in check_norms(cfg, processes, pictures)]
    assert found == ([expected] if expected else [])
    cfg.train_dataloader.update(drop_last=True)
    if batch > 1:
        assert [*check_norms(cfg, processes, pictures)] == []


def test_batch_norm_without_pooling() -> None:
    """Elsewhere, statistics of one picture are noise."""
    cfg = load(UPERNET)
    cfg.model.decode_head.update(pool_scales=(2, 3, 6))
    cfg.train_dataloader.batch_size = 1
    (finding,) = check_norms(cfg, 1, None)
    assert finding.severity == "warning"
    assert "one process makes BN of SyncBN" in finding.what


def test_sliding_windows() -> None:
    """Mask2Former cannot slide, and sliding needs a size and a step."""
    cfg = load(SEG_QUERIES)
    assert [*check_sliding(cfg.model)] == []
    cfg.model.test_cfg = ConfigDict(mode="slide", crop_size=(64, 64), stride=(32, 32))
    (finding,) = check_sliding(cfg.model)
    assert finding.severity == "error" and "mode='whole'" in finding.cure
    cfg.model.decode_head.type = "UPerHead"
    assert [*check_sliding(cfg.model)] == []
    del cfg.model.test_cfg["stride"]
    (finding,) = check_sliding(cfg.model)
    assert "mode='slide' without stride" in finding.what


def test_configs() -> None:
    """The configs here fit COCO and ADE20K, in as many processes as they are for."""
    for folder, classes in (("coco", 80), ("ade20k", 150)):
        for file in (ROOT / "configs" / folder).glob("*.py"):
            cfg = load(str(file))
            for findings in (
                check_backbone(cfg.model, cfg.default_scope),
                check_classes(cfg.model, classes, "data"),
                check_norms(cfg, 8, None),
                check_sliding(cfg.model),
            ):
                assert [*findings] == [], file
