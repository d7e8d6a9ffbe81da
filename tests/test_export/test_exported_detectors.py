"""Detectors whole in ONNX Runtime, and pictures drawn of what they find."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from tiny import DET, ROOT, build_model, load_script, load_tiny
from torch import nn

from mmswinv2.drawing import draw_sample
from mmswinv2.export.comparison import EXPECTED, pictures
from mmswinv2.export.detected import differences_of_objects
from mmswinv2.export.detectors import ExportedDetector
from mmswinv2.export.formats import write_onnx
from mmswinv2.export.making import exported
from mmswinv2.export.program import capture

SIZE = (70, 96)  # px
OTHER_SIZE = (65, 81)
BACKBONE = dict(arch=None, embed_dims=16, depths=(1, 2), num_heads=(1, 2))
BACKBONE |= dict(out_indices=(0, 1), window_size=4)
NECK = dict(in_channels=[16, 32], out_channels=16, num_outs=3)
CLASSES = ("ball", "tree")
PALETTE = [(250, 60, 0), (0, 90, 250)]


def mask_rcnn(**model: object) -> Config:
    """Mask R-CNN with two stages of few blocks and channels, of two classes."""
    cfg = load_tiny(DET)
    extractor = dict(out_channels=16, featmap_strides=[4, 8, 16])
    roi_head = dict(
        bbox_roi_extractor=extractor,
        bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=2),
        mask_roi_extractor=extractor,
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16, num_classes=2),
    )
    anchors = dict(strides=[4, 8, 16])
    rpn_head = dict(in_channels=16, feat_channels=16, anchor_generator=anchors)
    small = dict(backbone=BACKBONE, neck=NECK, rpn_head=rpn_head, roi_head=roi_head)
    cfg.merge_from_dict(dict(model=small))
    cfg.merge_from_dict(dict(model=model))
    return cfg


def cascade_rcnn() -> Config:
    """Of that, a cascade of two stages with boxes of their own for every class."""
    cfg = mask_rcnn()
    head = dict(cfg.model.roi_head.bbox_head, reg_class_agnostic=False)
    roi_head = dict(type="CascadeRoIHead", num_stages=2, stage_loss_weights=[1, 1])
    train = [cfg.model.train_cfg.rcnn] * 2
    cfg.model.roi_head.pop("bbox_head")
    cfg.merge_from_dict(dict(model=dict(type="CascadeRCNN", roi_head=roi_head)))
    cfg.model.roi_head.bbox_head = [head, head]
    cfg.model.roi_head.mask_head.class_agnostic = False
    cfg.model.train_cfg.rcnn = train
    return cfg


def retinanet() -> Config:
    """RetinaNet of the same backbone, whose best candidates are fewer than it has."""
    cfg = mask_rcnn()
    cfg.model = Config.fromfile(
        ROOT / "configs/_base_/models/retinanet_swinv2-nano.py"
    ).model
    head = dict(num_classes=2, in_channels=16, feat_channels=16, stacked_convs=1)
    head |= dict(anchor_generator=dict(strides=[4, 8, 16]))
    neck = dict(NECK, start_level=0)
    test = dict(nms_pre=40)
    model = dict(backbone=BACKBONE, neck=neck, bbox_head=head, test_cfg=test)
    cfg.merge_from_dict(dict(model=model))
    return cfg


def write(
    cfg: Config, model: nn.Module, path: Path, *, dynamic: bool
) -> Callable[[np.ndarray], dict]:
    """Writes a detector as ONNX and returns what runs it."""
    network = exported(model, cfg, what="model", dynamic=dynamic)
    write_onnx(capture(network, SIZE, dynamic=dynamic), network, path, "")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = network.output_names
    return lambda picture: dict(zip(names, session.run(None, {"image": picture})))


@pytest.mark.parametrize(
    ("build", "dynamic"), [(retinanet, False), (mask_rcnn, True), (cascade_rcnn, False)]
)
def test_a_file_finds_what_the_detector_predicts(
    build: Callable[[], Config],
    dynamic: bool,
    tmp_path: Path,
    trained_like: Callable[[nn.Module], nn.Module],
) -> None:
    """Boxes, scores, labels and masks, where it finds much, one object and nothing."""
    cfg = build()
    model = trained_like(build_model(cfg))
    predict = EXPECTED["detection"]
    seen = pictures([SIZE, OTHER_SIZE if dynamic else SIZE])
    scores = np.concatenate([predict(model, picture)["scores"] for picture in seen])
    test = model.test_cfg if build is retinanet else model.roi_head.test_cfg
    test["score_thr"] = float(np.sort(scores)[-60:].min())
    run = write(cfg, model, tmp_path / "model.onnx", dynamic=dynamic)
    found = [run(picture) for picture in seen]
    for picture, objects in zip(seen, found):
        difference, others = differences_of_objects(predict(model, picture), objects)
        assert (difference < 1e-4, others) == (True, 0)
        assert objects["labels"].dtype == np.int64
        assert (np.diff(objects["scores"]) <= 0).all()
    assert sum(len(objects["labels"]) for objects in found) >= 50
    if "masks" in found[0]:
        assert found[0]["masks"].shape == (len(found[0]["labels"]), 28, 28)
