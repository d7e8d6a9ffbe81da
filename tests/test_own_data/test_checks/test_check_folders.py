"""Folders of classes, lists and SimMIM's pictures against configs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from PIL import Image
from tiny_classifier import write_classifier

from mmswinv2.own_data.checks.config import check_config

SIMMIM = """
_base_ = ["mmswinv2::_base_/default_runtime_simmim.py"]
data_root = {root!r}
model = dict(
    type="SimMIM",
    backbone=dict(type="mmswinv2.SimMIMSwinV2", arch="nano", window_size=4),
    neck=dict(type="SimMIMLinearDecoder", in_channels=256, encoder_stride=32),
    head=dict(type="mmswinv2.SimMIMHead", norm_target_size=47),
)
train_dataloader = dict(
    dataset=dict(
        type="CustomDataset",
        data_root=data_root,
        with_label=False,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="RandomResizedCrop", scale=64),
            dict(type="mmswinv2.RandomPatchMask"),
            dict(type="PackInputs"),
        ],
    )
)
"""


@pytest.fixture
def root(class_folders: Path, tmp_path: Path) -> Path:
    """The folders of three classes, to be changed."""
    return shutil.copytree(class_folders, tmp_path / "data")


@pytest.fixture
def classifier(root: Path, tmp_path: Path) -> Config:
    return Config.fromfile(write_classifier(tmp_path, root))


@pytest.fixture
def simmim(root: Path, tmp_path: Path) -> Config:
    (tmp_path / "simmim.py").write_text(SIMMIM.format(root=str(root)))
    return Config.fromfile(tmp_path / "simmim.py")


def messages(cfg: Config, severity: str = "error") -> list[str]:
    findings = check_config(cfg, ["train", "val"], processes=1)
    return [str(finding) for finding in findings if finding.severity == severity]


def write_list(root: Path, *lines: str) -> dict:
    (root / "train/list.txt").write_text("\n".join(lines))
    return dict(ann_file="list.txt")


def name_folders(root: Path, names: dict[str, str]) -> None:
    for split in ("train", "val"):
        for old, new in names.items():
            (root / split / old).rename(root / split / new)


def number_folders(root: Path) -> None:
    name_folders(root, {"floor": "9", "grass": "10", "sky": "11"})


@pytest.mark.parametrize("name", ["classifier", "simmim"])
def test_sound(name: str, request: pytest.FixtureRequest) -> None:
    """Sound folders have no finding, with labels or without, flat or nested."""
    cfg = request.getfixturevalue(name)
    assert messages(cfg) + messages(cfg, "warning") == []
    if name == "simmim":
        cfg.train_dataloader.dataset.data_root += "/train/sky"
        assert messages(cfg) + messages(cfg, "warning") == []


Change = Callable[[ConfigDict, Path], object]
FAULTS: dict[str, Change] = {
    "train does not exist; expected in the data root": lambda c, root: shutil.rmtree(
        root / "train"
    ),
    "train: has no pictures in folders of classes": lambda c, root: [
        file.unlink() for file in (root / "train").glob("*/*.jpg")
    ],
    "has 3 folders of classes, training 4": lambda c, root: (
        root / "train/wall"
    ).mkdir(),
    "(data_preprocessor.num_classes=3, head.num_classes=3); write 4": lambda c, root: [
        (root / split / "wall").mkdir() for split in ("train", "val")
    ],
    "has 3 folders of classes, but the dataset names 2 (floor)": lambda c, _: (
        c.metainfo.update(classes=("grass", "sky"))
    ),
    "names classes in another order than their folders have; sort them: floor": (
        lambda c, _: c.metainfo.update(classes=("sky", "grass", "floor"))
    ),
    "sorted as text: label 0 is '10'; call it '10' and so on": lambda c, root: (
        c.metainfo.update(classes=("floor", "grass", "sky")),
        number_folders(root),
    ),
    "1 labels out of range, which is 0 to 2 (3)": lambda c, root: c.update(
        write_list(root, "sky/0.jpg 2", "sky/1.jpg 3")
    ),
    "list.txt: cannot be read: invalid literal": lambda c, root: c.update(
        write_list(root, "sky/0.jpg sky")
    ),
    "1 files that are missing (sky/0.jpeg); write names with the suffix": (
        lambda c, root: c.update(write_list(root, "sky/0.jpeg 2", "sky/1.jpg 2"))
    ),
    "1 files that are no pictures": lambda c, root: (
        root / "train/sky/3.jpg"
    ).write_text("no picture"),
    "train_dataloader.dataset.pipeline: fails on": lambda c, _: c.pipeline.insert(
        1, dict(type="ResizeEdge", scale=0)
    ),
}


@pytest.mark.parametrize("expected", FAULTS)
def test_faulty_folders(expected: str, classifier: Config, root: Path) -> None:
    """Each fault is said in one finding, before a run starts."""
    dataset = classifier.train_dataloader.dataset
    dataset.setdefault("metainfo", {})
    classifier.val_dataloader.dataset.metainfo = dataset.metainfo
    FAULTS[expected](dataset, root)
    assert any(expected in text for text in messages(classifier)), messages(classifier)


def test_lists_of_imagenet_22k(classifier: Config, root: Path) -> None:
    """Which have tabs, so that nobody shall be told of spaces."""
    change = dict(type="mmswinv2.ImageNet22K", **write_list(root, "sky/0.jpg 2"))
    classifier.train_dataloader.dataset.update(change)
    text = "\n".join(messages(classifier))
    assert "a path, a tab and a label a line" in text and "space" not in text


def test_numbers_as_names(classifier: Config, root: Path) -> None:
    """Where folders name the classes, an order of text is a warning."""
    number_folders(root)
    assert messages(classifier) == []
    (train, _) = [m for m in messages(classifier, "warning") if "as text" in m]
    assert "label 0 is '10'; call it '10' and so on" in train
    name_folders(root, {"9": "09"})
    assert messages(classifier, "warning") == []


def test_mild_faults(classifier: Config, root: Path) -> None:
    """A class without pictures, and pictures in both sets, are warnings."""
    for split in ("train", "val"):
        (root / split / "wall").mkdir()
    classifier.model.head.num_classes = 4
    classifier.model.data_preprocessor.num_classes = 4
    shutil.copy(root / "train/sky/0.jpg", root / "val/sky/9.jpg")
    warnings = "\n".join(messages(classifier, "warning"))
    assert messages(classifier) == []
    assert "folders of classes without a picture (wall)" in warnings
    assert "1 files that are in training too" in warnings
    classifier.model.data_preprocessor.num_classes = 3
    assert "(data_preprocessor.num_classes=3); write 4" in messages(classifier)[0]


def test_more_guesses_than_classes(classifier: Config) -> None:
    """At which mmpretrain would stop after the first epoch."""
    classifier.val_evaluator.topk = (1, 5)
    (text,) = messages(classifier)
    assert text.startswith("val_evaluator: topk=(1, 5), at which it stops: the model")
    classifier.val_evaluator.topk = 3
    assert messages(classifier) == []


MASKS: dict[str, Change] = {
    "mask_patch_size=32 does not divide a picture of 80 x 80 px": lambda c, _: (
        c.pipeline[1].update(scale=80)
    ),
    "gives pictures of 80 x 80 px, which the decoder cannot fill; choose a multiple": (
        lambda c, _: (
            c.pipeline[1].update(scale=80),
            c.pipeline[2].update(mask_patch_size=16),
        )
    ),
    "masks nothing; add mmswinv2.RandomPatchMask": lambda c, _: c.pipeline.pop(2),
    "has masks of (16, 16) tokens for pictures of (8, 8)": lambda c, _: (
        c.pipeline.insert(3, dict(type="Resize", scale=32))
    ),
    "has no pictures (.bmp .jpeg": lambda c, root: [
        file.unlink() for file in root.glob("*/*/*.jpg")
    ],
}


@pytest.mark.parametrize("expected", MASKS)
def test_faulty_masks(expected: str, simmim: Config, root: Path) -> None:
    """Masks, pictures and the decoder of SimMIM fit each other."""
    MASKS[expected](simmim.train_dataloader.dataset, root)
    (text,) = messages(simmim)
    assert expected in text


MAPS: dict[str, tuple[str, dict]] = {
    "head.in_channels: is 256, which does not fit the backbone's map; write 768": (
        "classifier",
        dict(backbone=dict(arch="tiny")),
    ),
    "neck.in_channels: is 256, which does not fit the backbone's map; write 768": (
        "simmim",
        dict(backbone=dict(arch="tiny")),
    ),
    "neck.encoder_stride: is 16, which does not fit the backbone's map; write 32": (
        "simmim",
        dict(neck=dict(encoder_stride=16)),
    ),
    "backbone.out_indices: is (0, 1, 2, 3), but SimMIM reads one map; write (3,)": (
        "simmim",
        dict(backbone=dict(out_indices=(0, 1, 2, 3))),
    ),
    "backbone.type: cannot hide tokens; write 'mmswinv2.SimMIMSwinV2'": (
        "simmim",
        dict(backbone=dict(type="mmswinv2.SwinTransformerV2")),
    ),
}


@pytest.mark.parametrize("expected", MAPS)
def test_readers_of_other_maps(expected: str, request: pytest.FixtureRequest) -> None:
    """A head or a decoder of another size of backbone is said before it stops a run."""
    name, change = MAPS[expected]
    cfg = request.getfixturevalue(name)
    cfg.merge_from_dict(dict(model=change))
    assert messages(cfg) == [f"model.{expected}"]


def test_other_classes_of_these_names(classifier: Config, simmim: Config) -> None:
    """Of mmpretrain there are a SwinTransformerV2 and a SimMIMHead, too."""
    classifier.model.backbone.type = "SwinTransformerV2"
    simmim.model.head.type = "SimMIMHead"
    (first,), (second,) = messages(classifier), messages(simmim)
    assert first.startswith("model.backbone.type: 'SwinTransformerV2' is mmpretrain's")
    assert second.endswith("; write 'mmswinv2.SimMIMHead'")


def test_pictures_of_other_kinds(classifier: Config, root: Path) -> None:
    """Suffixes in capitals and greys are fine."""
    folder = root / "train/sky"
    Image.open(folder / "0.jpg").convert("L").save(folder / "grey.PNG")
    (folder / "0.jpg").rename(folder / "0.JPEG")
    assert messages(classifier) + messages(classifier, "warning") == []


def test_greys_of_16_bits(classifier: Config, root: Path) -> None:
    """Pillow would make white of all above 255; OpenCV, SimMIM's decoder, does not."""
    deep = np.full((40, 40), 9000, np.uint16)
    Image.fromarray(deep).save(root / "train/sky/deep.png")
    loader = classifier.train_dataloader.dataset.pipeline[0]
    for loader.imdecode_backend, faults in (("cv2", 0), ("pillow", 1)):
        assert len(found := messages(classifier)) == faults
    assert "1 pictures of 16 bits, which imdecode_backend='pillow' makes" in found[0]
