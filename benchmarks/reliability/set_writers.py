"""Writes small sets, sound or with a fault, and configs for them."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import coco_faults as coco
import numpy as np
import picture_faults as pictures
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmswinv2.apis import find_config
from mmswinv2.config_types import read_config

CONFIGS = {
    "coco": "mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px",
    "labels": "swinv2-nano-p4-w8_upernet_mini-128px",
    "classes": "swinv2-t-p4-w8_16xb64-300e_in1k-256px",
}
SOUND = "nothing"  # the part of a case without a fault
CLASSES = ("floor", "grass", "sky")  # of label maps and folders


@dataclass(frozen=True)
class Case:
    """A fault and all that it depends on.

    Attributes:
        kind (str): Of the set, a key of CONFIGS.
        part (str): What is spoilt.
        fault (str): How, a key of one of the tables of faults.
        split (str): That reads the set, 'train' or 'val'.
        seed (int): Of everything else.
    """

    kind: str
    part: str
    fault: str
    split: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.split}, {self.part}: {self.fault}, seed {self.seed}"


def picture(seed: int) -> Image.Image:
    """Noise in blocks, which every format keeps."""
    coarse = np.random.default_rng(seed).integers(
        0, 255, (coco.HEIGHT // 4, coco.WIDTH // 4, 1), np.uint8
    )
    pixels = coarse.repeat(4, axis=0).repeat(4, axis=1).repeat(3, axis=2)
    return Image.fromarray(pixels)


def label_map() -> np.ndarray:
    """Stripes of all classes, and some pixels to ignore."""
    labels = (np.arange(coco.WIDTH) // 4 % len(CLASSES)).astype(np.uint8)
    labels = labels[None].repeat(coco.HEIGHT, axis=0)
    labels[:2] = 255
    return labels


@functools.cache
def _config(kind: str) -> Config:
    return read_config(find_config(CONFIGS[kind]))


def _set_up(kind: str, split: str, dataset: dict, pipeline: list[dict]) -> Config:
    cfg = copy.deepcopy(_config(kind))
    init_default_scope(cfg.default_scope)
    loader = cfg[f"{split}_dataloader"]
    loader.dataset = dict(dataset, pipeline=pipeline)
    loader.batch_size = 2
    cfg.model.backbone.init_cfg = None
    return cfg


def write_coco(case: Case, folder: Path) -> Config:
    """A spoilt set in COCO's format, and a config for it."""
    random = Random(case.seed)
    content: dict | str | bytes = coco.content()
    if case.part == "file":
        content = coco.TEXTS[case.fault](json.dumps(content), random)
    elif case.part not in ("picture", SOUND):
        coco.spoil_field(content, case.part, case.fault, random)
    (folder / "images").mkdir(parents=True)
    for i in range(1, coco.PICTURES + 1):
        picture(i).save(folder / "images" / f"{i}.png")
    if isinstance(content, dict):
        content = json.dumps(content)
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "annotations.json").write_bytes(data)
    if case.part == "picture":
        name = f"{random.randint(2, coco.PICTURES)}.png"
        pictures.FAULTS[case.fault](folder / "images" / name, random)
    file = str(folder / "annotations.json")
    dataset = dict(
        type="CocoDataset",
        ann_file=file,
        data_prefix=dict(img=str(folder / "images")),
        metainfo=dict(classes=coco.CLASSES),
        test_mode=case.split == "val",
    )
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
        dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape")),
    ]
    cfg = _set_up("coco", case.split, dataset, pipeline)
    for head in (cfg.model.roi_head.bbox_head, cfg.model.roi_head.mask_head):
        head.num_classes = len(coco.CLASSES)
    cfg.val_evaluator.ann_file = file
    return cfg


def write_labels(case: Case, folder: Path) -> Config:
    """Pictures and spoilt label maps, and a config for them."""
    random = Random(case.seed)
    places = {"picture": folder / "images", "label map": folder / "labels"}
    for place in places.values():
        place.mkdir(parents=True)
    for i in range(1, coco.PICTURES + 1):
        picture(i).save(places["picture"] / f"{i}.png")
        Image.fromarray(label_map()).save(places["label map"] / f"{i}.png")
    if case.part != SOUND:
        fault = {**pictures.FAULTS, **pictures.LABEL_FAULTS}[case.fault]
        fault(places[case.part] / f"{random.randint(2, coco.PICTURES)}.png", random)
    dataset = dict(
        type="BaseSegDataset",
        data_prefix=dict(
            img_path=str(places["picture"]), seg_map_path=str(places["label map"])
        ),
        img_suffix=".png",
        metainfo=dict(classes=CLASSES),
        test_mode=case.split == "val",
    )
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations"),
        dict(type="PackSegInputs", meta_keys=("img_path",)),
    ]
    cfg = _set_up("labels", case.split, dataset, pipeline)
    for head in (cfg.model.decode_head, cfg.model.get("auxiliary_head")):
        if head:
            head.num_classes = len(CLASSES)
    return cfg


def write_classes(case: Case, folder: Path) -> Config:
    """Folders of classes or a list, spoilt, and a config for them."""
    random = Random(case.seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(1, coco.PICTURES + 1):
            picture(i).save(folder / name / f"{i}.png")
    dataset = dict(type="CustomDataset", data_prefix=str(folder))
    if case.part == "picture":
        name = f"{random.randint(2, coco.PICTURES)}.png"
        pictures.FAULTS[case.fault](folder / random.choice(CLASSES) / name, random)
    elif case.part == "folder":
        FOLDER_FAULTS[case.fault](folder)
    elif case.part == "list":
        names = [f"{name}/{i}.png" for name in CLASSES for i in (1, 2, 3)]
        lines = [f"{name} {CLASSES.index(name.split('/')[0])}" for name in names]
        text = LIST_FAULTS[case.fault]("\n".join(lines))
        (folder / "list.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
        dataset["ann_file"] = str(folder / "list.txt")
    dataset["test_mode"] = case.split == "val"
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="PackInputs", meta_keys=("img_path",)),
    ]
    cfg = _set_up("classes", case.split, dataset, pipeline)
    cfg.model.head.num_classes = len(CLASSES)
    cfg.model.data_preprocessor.num_classes = len(CLASSES)
    cfg.model.train_cfg = None
    cfg.val_evaluator = dict(type="Accuracy", topk=(1,))
    return cfg


def _touch(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    picture(1).save(path)


def _empty(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def _clear(folder: Path) -> None:
    for path in (folder / "grass").iterdir():
        path.unlink()


FOLDER_FAULTS: dict[str, Callable[[Path], object]] = {
    "no pictures": _empty,
    "a class without pictures": _clear,
    "a class too many": lambda f: _touch(f / "earth" / "1.png"),
    "an empty folder more": lambda f: (f / "earth").mkdir(),
    "a hidden folder": lambda f: _touch(f / ".cache" / "1.png"),
    "a picture outside": lambda f: _touch(f / "1.png"),
    "a hidden picture": lambda f: _touch(f / "grass" / "._1.png"),
    "another suffix": lambda f: (f / "grass/1.png").rename(f / "grass/1.pngx"),
    "a file of notes": lambda f: (f / "grass/notes.txt").write_text("?"),
    "a class as a file": lambda f: (f / "earth").write_text("?"),
}
LIST_FAULTS: dict[str, Callable[[str], str]] = {
    "label out of range": lambda t: t.replace("1.png 2", "1.png 3"),
    "negative label": lambda t: t.replace("1.png 2", "1.png -1"),
    "label as text": lambda t: t.replace("1.png 2", "1.png sky"),
    "label with a fraction": lambda t: t.replace("1.png 2", "1.png 2.0"),
    "huge label": lambda t: t.replace("1.png 2", f"1.png {10**30}"),
    "label with a line between": lambda t: t.replace("1.png 2", "1.png 1_0"),
    "no label": lambda t: t.replace("1.png 2", "1.png"),
    "no labels at all": lambda t: "\n".join(x.split()[0] for x in t.splitlines()),
    "a file that is missing": lambda t: t.replace("sky/1.png", "sky/7.png"),
    "an empty line": lambda t: t.replace("\n", "\n\n", 1),
    "empty": lambda t: "",
    "commas": lambda t: t.replace(" ", ","),
    "tabs": lambda t: t.replace(" ", "\t"),
    "zeros": lambda t: "\0" * 100,
    "a zero in a name": lambda t: t.replace("sky/1", "sky/\0"),
    "no UTF-8": lambda t: t.replace("sky/1", "sky/\udcff"),
    "a path outside": lambda t: t.replace("sky/1.png", "../../sky/1.png"),
    "Windows' line ends": lambda t: t.replace("\n", "\r\n"),
    "a picture twice": lambda t: f"{t}\n{t.splitlines()[0]}",
    "a picture of two classes": lambda t: f"{t}\nsky/1.png 0",
}

WRITERS: dict[str, Callable[[Case, Path], Config]] = {
    "coco": write_coco,
    "labels": write_labels,
    "classes": write_classes,
}
