"""Detectors whole in ONNX Runtime, and pictures drawn of what they find."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from tiny import DET, ROOT, Tool, build_model, load_script, load_tiny
from torch import nn

from mmswinv2.drawing import draw_sample
from mmswinv2.export.comparison import EXPECTED, drawn_pictures
from mmswinv2.export.detected import differences_of_objects
from mmswinv2.export.formats import write_onnx
from mmswinv2.export.making import exported
from mmswinv2.export.program import capture

SIZE = (70, 96)  # px
OTHER_SIZE = (65, 81)
STRIDES = [4, 8]  # px
BACKBONE = dict(arch=None, embed_dims=16, depths=(1,), num_heads=(1,))
BACKBONE |= dict(out_indices=(0,), window_size=4)
NECK = dict(in_channels=[16], out_channels=16, num_outs=2)
CLASSES = ("ball", "tree")
PALETTE = [(250, 60, 0), (0, 90, 250)]


def mask_rcnn(**model: object) -> Config:
    """Mask R-CNN with one block before two maps of few channels, of two classes."""
    cfg = load_tiny(DET)
    extractor = dict(out_channels=16, featmap_strides=STRIDES)
    roi_head = dict(
        bbox_roi_extractor=extractor,
        bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=2),
        mask_roi_extractor=extractor,
        mask_head=dict(
            num_convs=1, in_channels=16, conv_out_channels=16, num_classes=2
        ),
    )
    anchors = dict(strides=STRIDES)
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
    head |= dict(anchor_generator=dict(strides=STRIDES))
    model = dict(
        backbone=BACKBONE, neck=NECK, bbox_head=head, test_cfg=dict(nms_pre=40)
    )
    cfg.merge_from_dict(dict(model=model))
    return cfg


def write(cfg: Config, model: nn.Module, path: Path) -> Callable[[np.ndarray], dict]:
    """Writes a detector as ONNX and returns what runs it."""
    network = exported(model, cfg, what="model", dynamic=False)
    write_onnx(capture(network, SIZE, dynamic=False), network, path, "", "fp32")
    return start(path, network.output_names)


def start(path: Path, names: Iterable[str]) -> Callable[[np.ndarray], dict]:
    """What runs a file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda picture: dict(zip(names, session.run(None, {"image": picture})))


def raise_threshold(path: Path, threshold: float) -> None:
    """Rewrites a file so that no score is high enough."""
    model = onnx.load(path)
    changed = 0
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if value.size == 1 and np.isclose(value, threshold, rtol=1e-6):
            raised = onnx.numpy_helper.from_array(np.full_like(value, 2), tensor.name)
            tensor.CopyFrom(raised)
            changed += 1
    assert changed == 1
    onnx.save(model, path)


def prepare(cfg: Config, model: nn.Module, seen: list[np.ndarray]) -> float:
    """Lets 60 objects of some pictures pass, and returns the threshold."""
    cfg.model.pop("train_cfg")
    scores = [EXPECTED["detection"](model, picture)["scores"] for picture in seen]
    test = getattr(model, "roi_head", model).test_cfg
    between = np.sort(np.concatenate(scores))[-61:-59]
    test["score_thr"] = float(between.mean())
    return test["score_thr"]


def check(model: nn.Module, picture: np.ndarray, objects: dict) -> None:
    """Raises where something else was found than the detector predicts."""
    expected = EXPECTED["detection"](model, picture)
    difference, others = differences_of_objects(expected, objects)
    assert (difference < 1e-4, others) == (True, 0)
    assert objects["labels"].dtype == np.int64
    assert (np.diff(objects["scores"]) <= 0).all()
    if "masks" in objects:
        assert objects["masks"].shape == (len(objects["labels"]), 28, 28)


@pytest.mark.parametrize("build", [retinanet, mask_rcnn, cascade_rcnn])
def test_the_network_of_a_file_finds_what_the_detector_predicts(
    build: Callable[[], Config], trained_like: Callable[[nn.Module], nn.Module]
) -> None:
    """Boxes, scores, labels and masks."""
    cfg = build()
    model = trained_like(build_model(cfg))
    seen = drawn_pictures([SIZE, OTHER_SIZE])
    prepare(cfg, model, seen)
    network = exported(model, cfg, what="model", dynamic=True)
    run = network
    if build is retinanet:  # as a program of any size
        run = capture(network, SIZE, dynamic=True).module()
    assert sum(len(EXPECTED["detection"](model, one)["labels"]) for one in seen) > 50
    for picture in seen:
        with torch.no_grad():
            found = run(torch.from_numpy(picture))
        found = {k: v.numpy() for k, v in zip(network.output_names, found)}
        check(model, picture, found)


@pytest.mark.parametrize("build", [retinanet, mask_rcnn])
def test_onnx_runtime_finds_what_the_detector_predicts(
    build: Callable[[], Config],
    tmp_path: Path,
    trained_like: Callable[[nn.Module], nn.Module],
) -> None:
    """And nothing where it predicts nothing."""
    cfg = build()
    model = trained_like(build_model(cfg))
    seen = drawn_pictures([SIZE, SIZE])
    threshold = prepare(cfg, model, seen)
    run = write(cfg, model, tmp_path / "model.onnx")
    for picture in seen:
        check(model, picture, run(picture))
    raise_threshold(tmp_path / "model.onnx", threshold)
    empty = start(tmp_path / "model.onnx", run(seen[0]))(seen[0])
    assert {len(values) for values in empty.values()} == {0}
    assert empty["boxes"].shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            dict(test_cfg=dict(rcnn=dict(nms=dict(type="soft_nms")))),
            "its test_cfg.rcnn.nms.type is soft_nms, and files can have nms; --what",
        ),
        (
            dict(roi_head=dict(mask_head=dict(type="HTCMaskHead"))),
            "its roi_head.mask_head is HTCMaskHead, and files can have FCNMaskHead",
        ),
        (dict(type="PointRend"), ""),
    ],
)
def test_what_a_file_cannot_do_is_refused(change: dict, reason: str) -> None:
    """Another kind of the same detector is not."""
    cfg = mask_rcnn(**change)
    model = build_model(cfg)
    if not reason:
        assert exported(model, cfg, what="model", dynamic=True)
        return
    with pytest.raises(ValueError, match="MaskRCNN cannot be exported whole") as error:
        exported(model, cfg, what="model", dynamic=True)
    assert reason in str(error.value)


@pytest.mark.parametrize("base", ["dino_swinv2-nano", "mask2former_swinv2-nano_coco"])
def test_other_detectors_are_refused(base: str) -> None:
    """By their name, with what can be exported of them."""
    cfg = load_tiny(DET)
    cfg.model = Config.fromfile(ROOT / f"configs/_base_/models/{base}.py").model
    with pytest.raises(ValueError, match="--what backbone exports its backbone"):
        exported(build_model(cfg), cfg, what="model", dynamic=True)


def test_differences_do_not_depend_on_the_order() -> None:
    """An object that only one has is counted, and not compared."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10.2, 10], [20, 20, 40, 50]], np.float32)
    labels, scores = np.array([0, 0, 1]), np.array([0.9, 0.8, 0.7], np.float32)
    expected = dict(boxes=boxes, scores=scores, labels=labels)
    moved = {name: values[::-1].copy() for name, values in expected.items()}
    assert differences_of_objects(expected, moved) == (0.0, 0)
    moved["scores"][0] += 0.01
    assert differences_of_objects(expected, moved) == (pytest.approx(0.01, 1e-3), 0)
    moved["labels"][0] = 0
    assert differences_of_objects(expected, moved) == (0.0, 2)
    moved["scores"][1] = np.nan
    assert differences_of_objects(expected, moved)[1] == 6


@pytest.mark.parametrize("zoom", [1, 2])
@pytest.mark.parametrize("with_masks", [True, False])
def test_the_demo_draws_objects_as_image_demo_does(zoom: int, with_masks: bool) -> None:
    """The same pixels where no names are written, as of more than 30 objects."""
    rng = np.random.default_rng(0)
    height, width = 900 // zoom**3, 1200 // zoom**3
    picture = rng.integers(0, 255, (height, width, 3), np.uint8)
    corners = rng.uniform(-4, 1, (40, 2)) + rng.uniform(0, 0.8, (40, 2)) * (
        width,
        height,
    )
    corners = corners.clip(min=0)
    sizes = rng.uniform(3, height // 3, (40, 2))
    boxes = np.concatenate([corners, corners + sizes], 1).clip(max=[width, height] * 2)
    boxes = boxes.astype(np.float32)
    found = dict(
        boxes=boxes,
        scores=np.linspace(0.9, 0.4, 40, dtype=np.float32),
        labels=rng.integers(0, 2, 40),
    )
    objects = InstanceData(
        bboxes=torch.from_numpy(boxes),
        scores=torch.from_numpy(found["scores"]),
        labels=torch.from_numpy(found["labels"]),
    )
    if with_masks:
        coarse = torch.from_numpy(rng.random((40, 1, 5, 5), np.float32))
        masks = torch.nn.functional.interpolate(coarse, (28, 28), mode="bilinear")
        found["masks"] = masks[:, 0].numpy()
        pasted, _ = _do_paste_mask(
            masks, objects.bboxes, height, width, skip_empty=False
        )
        objects.masks = pasted >= 0.5
    meta = dict(classes=CLASSES, palette=PALETTE)
    facts = dict(meta, task="detection", limits=dict(mask=0.5), above=0.3)
    drawn, told = load_script("demo/onnx_demo.py").draw(picture, found, facts)
    sample = DetDataSample(pred_instances=objects)
    expected = draw_sample(picture, sample, meta, with_truth=False)
    line = (len(expected) - height * math.ceil(480 / width)) // 2  # title and legend
    area = np.s_[line : len(expected) - line]
    assert expected.shape == np.asarray(drawn).shape
    assert (expected[area] != np.asarray(drawn)[area]).any(-1).mean() < 1e-4
    assert sorted(told.split(", "))[0].split()[1] in CLASSES


def test_other_files_of_detectors_are_refused(tool: Tool, tmp_path: Path) -> None:
    """Before anything is captured."""
    cfg = mask_rcnn()
    cfg.test_dataloader.dataset.metainfo = dict(classes=CLASSES, palette=PALETTE)
    cfg.dump(tmp_path / "config.py")
    torch.save(dict(state_dict=build_model(cfg).state_dict()), tmp_path / "w.pth")
    given = (tmp_path / "config.py", tmp_path / "w.pth", "--out", tmp_path / "m.pt2")
    told = tool.fails("tools/export.py", *given, "--to", "torch-export")
    assert "--to onnx" in told and "--what backbone" in told
