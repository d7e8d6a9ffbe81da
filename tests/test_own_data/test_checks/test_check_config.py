"""Configs against the data that they name."""

import json
from collections.abc import Callable
from pathlib import Path

import mmdet.datasets
import pytest
from made_sets import CLASSES, coco_content, write_coco, write_labels, write_picture
from mmengine.config import Config, ConfigDict
from PIL import Image
from tiny import DET, SEG

from mmswinv2.apis import find_config
from mmswinv2.own_data.checks.config import check_config

Change = Callable[[Config, Path], object]


@pytest.fixture
def detection(tmp_path: Path) -> Config:
    """A Mask R-CNN for a sound set of two classes."""
    cfg = Config.fromfile(find_config(DET))
    for split, first in (("train", 1), ("val", 101)):
        content = coco_content()
        for image in content["images"]:  # no picture is in both sets
            image.update(id=image["id"] + first, file_name=f"{image['id'] + first}.png")
        for annotation in content["annotations"]:
            annotation["image_id"] += first
        write_coco(tmp_path / split, content)
        cfg[f"{split}_dataloader"].dataset.update(
            data_root=str(tmp_path / split),
            ann_file="annotations.json",
            data_prefix=dict(img="images"),
            metainfo=dict(classes=CLASSES),
        )
    cfg.val_evaluator.ann_file = str(tmp_path / "val/annotations.json")
    cfg.model.roi_head.bbox_head.num_classes = 2
    cfg.model.roi_head.mask_head.num_classes = 2
    return cfg


@pytest.fixture
def segmentation(tmp_path: Path) -> Config:
    """A UPerNet for a sound set of three classes."""
    cfg = Config.fromfile(find_config(SEG))
    for split in ("train", "val"):
        write_labels(tmp_path / split)
        for i in range(3 if split == "val" else 0):  # no picture is in both sets
            write_picture(tmp_path / f"val/images/{i}.png", seed=9 + i)
        cfg[f"{split}_dataloader"].dataset = ConfigDict(
            type="BaseSegDataset",
            data_root=str(tmp_path / split),
            data_prefix=dict(img_path="images", seg_map_path="labels"),
            img_suffix=".png",
            metainfo=dict(classes=("red", "green", "blue")),
            pipeline=[dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")],
        )
    cfg.model.decode_head.num_classes = 3
    return cfg


def messages(cfg: Config, severity: str = "error") -> list[str]:
    findings = check_config(cfg, ["train", "val"], processes=1)
    return [str(finding) for finding in findings if finding.severity == severity]


def test_mini_data(data: Path) -> None:
    """The generated data and their configs have no finding."""
    for name, root in ((DET, "coco/"), (SEG, "ade/ADEChallengeData2016")):
        cfg = Config.fromfile(find_config(name))
        for split in ("train", "val"):
            cfg[f"{split}_dataloader"].dataset.data_root = str(data / root)
        if name == DET:
            file = data / "coco/annotations/instances_val2017.json"
            cfg.val_evaluator.ann_file = str(file)
        assert messages(cfg) + messages(cfg, "warning") == []


def test_sound_detection(detection: Config) -> None:
    """A sound set has no finding, also with its type as a class."""
    detection.train_dataloader.dataset.type = mmdet.datasets.CocoDataset
    assert messages(detection) + messages(detection, "warning") == []


def test_sound_segmentation(segmentation: Config) -> None:
    """A sound set has no finding, also within wrappers."""
    inner = segmentation.train_dataloader.dataset
    concat = dict(type="ConcatDataset", datasets=[inner, inner])
    wrapped = ConfigDict(type="RepeatDataset", times=2, dataset=concat)
    segmentation.train_dataloader.dataset = wrapped
    assert messages(segmentation) + messages(segmentation, "warning") == []


def edit(cfg: Config, change: Callable[[dict], object]) -> None:
    """Changes the annotation file of training."""
    file = Path(cfg.train_dataloader.dataset.data_root, "annotations.json")
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


DETECTION: dict[str, Change] = {
    "heads are made for another number": lambda c, _: c.model.roi_head.bbox_head.update(
        num_classes=80
    ),
    "names its categories in the order": lambda c, _: c.train_dataloader.dataset.update(
        metainfo=dict(classes=CLASSES[::-1])
    ),
    "of which the dataset knows none": lambda c, _: c.train_dataloader.dataset.pop(
        "metainfo"
    ),
    "1 files that are missing (2.png)": lambda c, root: (
        root / "train/images/2.png"
    ).unlink(),
    "train_dataloader.dataset.ann_file: ": lambda c, root: (
        root / "train/annotations.json"
    ).write_text("{"),
    "has no object to learn": lambda c, _: edit(
        c, lambda content: [a.update(iscrowd=1) for a in content["annotations"]]
    ),
    "filter_cfg: leaves none of 4 images": lambda c, _: (
        c.train_dataloader.dataset.filter_cfg.update(min_size=64)
    ),
    "no annotation has a 'segmentation'": lambda c, _: edit(
        c, lambda content: [a.pop("segmentation") for a in content["annotations"]]
    ),
    "loads no masks, but the model has a mask head": lambda c, _: (
        c.train_dataloader.dataset.pipeline[1].update(with_mask=False)
    ),
    "metric='segm', but the model has no mask head": lambda c, _: c.model.roi_head.pop(
        "mask_head"
    ),
    "val_evaluator.ann_file: ": lambda c, root: c.val_evaluator.update(
        ann_file=str(root / "train/annotations.json")
    ),
    "without 'iscrowd', at which": lambda c, root: (
        c.train_dataloader.dataset.update(data_root=str(root / "val")),
        edit(c, lambda content: [a.pop("iscrowd") for a in content["annotations"]]),
    ),
}


@pytest.mark.parametrize("expected", DETECTION)
def test_detection(detection: Config, tmp_path: Path, expected: str) -> None:
    """Detectors that would stop, or learn nonsense, are refused with the reason."""
    DETECTION[expected](detection, tmp_path)
    assert expected in "\n".join(messages(detection))


SEGMENTATION: dict[str, Change] = {
    "heads are made for another number": lambda c, _: c.model.decode_head.update(
        num_classes=150
    ),
    "has no class names": lambda c, _: c.train_dataloader.dataset.pop("metainfo"),
    "names no label maps": lambda c, _: c.train_dataloader.dataset.data_prefix.pop(
        "seg_map_path"
    ),
    "has no .jpg file, only .png": lambda c, _: c.train_dataloader.dataset.pop(
        "img_suffix"
    ),
    "1 files that are missing (1.png)": lambda c, root: (
        root / "train/labels/1.png"
    ).unlink(),
    "LoadAnnotations has reduce_zero_label=True": lambda c, _: (
        c.train_dataloader.dataset.pipeline[1].update(reduce_zero_label=True)
    ),
    "reduce_zero_label=True ignores": lambda c, _: c.train_dataloader.dataset.update(
        reduce_zero_label=True
    ),
    "for classes of your own, take": lambda c, _: c.train_dataloader.dataset.update(
        type="ADE20KDataset"
    ),
    "for data of your own, write": lambda c, _: (
        c.train_dataloader.dataset.pop("metainfo"),
        c.train_dataloader.dataset.update(type="ADE20KDataset"),
    ),
    "with a palette": lambda c, root: (
        c.train_dataloader.dataset.pipeline[1].update(imdecode_backend="cv2"),
        palette(root / "train/labels/1.png"),
    ),
    "BN stops": lambda c, _: c.train_dataloader.update(batch_size=1),
    "the last batch of 3 pictures by 2 holds one": lambda c, _: (
        c.train_dataloader.update(batch_size=2, sampler=dict(type="DefaultSampler"))
    ),
    "Swin V1's pretrain_img_size": lambda c, _: c.model.backbone.update(
        pretrain_img_size=224
    ),
}


def palette(path: Path) -> None:
    image = Image.open(path).convert("P")
    image.save(path)


@pytest.mark.parametrize("expected", SEGMENTATION)
def test_segmentation(segmentation: Config, tmp_path: Path, expected: str) -> None:
    """Segmentors that would stop, or learn nonsense, are refused with the reason."""
    SEGMENTATION[expected](segmentation, tmp_path)
    assert expected in "\n".join(messages(segmentation))


def test_indices(detection: Config, tmp_path: Path) -> None:
    """Only the pictures that `indices` keeps must be there."""
    (tmp_path / "train/images/5.png").unlink()
    detection.train_dataloader.dataset.indices = 3
    assert messages(detection) == []
    detection.train_dataloader.dataset.indices = [0, 3]
    assert "1 files that are missing (5.png)" in messages(detection)[0]


def test_same_pictures(segmentation: Config) -> None:
    """Validation on pictures of training is a warning."""
    segmentation.val_dataloader = segmentation.train_dataloader
    assert messages(segmentation) == []
    (message,) = messages(segmentation, "warning")
    assert "3 files that are in training too" in message
