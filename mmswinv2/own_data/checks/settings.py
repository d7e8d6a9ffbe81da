"""Settings that a config writes once, and that do not reach what they are for.

A text config takes its base's dicts as they are when the base has been read: a new
``data_root`` beside them changes none of them.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .findings import Finding

# What a config has to write, so that a variable of its base reaches its place.
SPLITS = ("train", "val", "test")
LINES = {
    "data_root": "{split}_dataloader = dict(dataset=dict(data_root=data_root))",
    "classes": "{split}_dataloader = "
    "dict(dataset=dict(metainfo=dict(classes=classes)))",
    "metainfo": "{split}_dataloader = dict(dataset=dict(metainfo=metainfo))",
    "train_pipeline": "train_dataloader = dict(dataset=dict(pipeline=train_pipeline))",
    "val_pipeline": "val_dataloader = dict(dataset=dict(pipeline=val_pipeline))",
    "test_pipeline": "{evaluated}_dataloader = "
    "dict(dataset=dict(pipeline=test_pipeline))",
}
# Sizes: inside of pipelines, which have to be written anew.
SIZES = ("scale", "scales", "image_scale", "img_scale", "image_size", "crop_size")


def check_settings(cfg: Config, splits: Sequence[str] = SPLITS) -> Iterator[Finding]:
    """Variables of a config file that change nothing, and splits that disagree.

    Args:
        cfg (Config): The config, with its file name.
        splits (Sequence[str]): Those that a run reads. Defaults to all.
    """
    dead = {*_unused(cfg)}
    for name in sorted(dead):
        what = "is set, but reaches nothing: the base's dicts have copied its own value"
        yield Finding("error", f"{cfg.filename}: {name}", what, f"write {_lines(name)}")
    if "data_root" not in dead:
        yield from _check_roots(cfg, splits)
    yield from _check_classes(cfg, splits)


def _unused(cfg: Config) -> Iterator[str]:
    """Known settings that a file assigns over a base, and nothing has."""
    if not cfg.filename or not os.path.isfile(cfg.filename):
        return
    tree = ast.parse(Path(cfg.filename).read_text())
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    set_here = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    read_here = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    if "_base_" not in set_here:
        return
    for name in ({*LINES, *SIZES} & set_here & cfg.keys()) - read_here:
        rest = [value for key, value in cfg.items() if key not in (*LINES, *SIZES)]
        if not any(_holds(value, cfg[name]) for value in rest):
            yield name


def _holds(node: Any, value: Any) -> bool:
    """Whether a value, or a path that begins with it, is somewhere in a config."""
    if node == value:
        return True
    if isinstance(node, str) and isinstance(value, str):
        return node.startswith(value.rstrip("/") + "/")
    if isinstance(node, Mapping):
        return any(_holds(item, value) for item in node.values())
    return isinstance(node, (list, tuple)) and any(_holds(x, value) for x in node)


def _lines(name: str) -> str:
    if name in SIZES:
        return f"the pipelines with the new {name} (train, test and tta_pipeline) too"
    lines = {
        LINES[name].format(split=split, evaluated=split if split != "train" else "val")
        for split in SPLITS
    }
    if name == "data_root":
        lines.add("val_evaluator = dict(ann_file=...), where it has one")
    return "; ".join(sorted(lines, reverse=True))


def _check_roots(cfg: Config, splits: Sequence[str]) -> Iterator[Finding]:
    """Splits whose root is the base's, while another split has the new one."""
    root = cfg.get("data_root")
    if not isinstance(root, str):
        return
    roots = {split: _setting(cfg, split, "data_root") for split in SPLITS}
    inside = {
        split: os.path.commonpath([os.path.normpath(root), os.path.normpath(other)])
        == os.path.normpath(root)
        for split, other in roots.items()
        if other and os.path.isabs(root) == os.path.isabs(other)
    }
    if not any(inside.values()):
        return
    for split in splits:
        if inside.get(split, True):
            continue
        what = f"is {roots[split]!r}, while data_root is {root!r}"
        cure = f"write {LINES['data_root'].format(split=split)}"
        key = f"{split}_dataloader.dataset.data_root"
        yield Finding("warning", key, what, cure)


def _check_classes(cfg: Config, splits: Sequence[str]) -> Iterator[Finding]:
    """Splits that name other classes than training."""
    given = {split: _setting(cfg, split, "metainfo") for split in SPLITS}
    names = {
        split: [*meta["classes"]]
        for split, meta in given.items()
        if meta and not isinstance(meta.get("classes", ""), str)
    }
    if "train" not in names:
        return
    for split in splits:
        dataset = (cfg.get(f"{split}_dataloader") or {}).get("dataset")
        if dataset is None or "datasets" in dataset:
            continue  # not there, or several of their own
        if names.get(split) != names["train"]:
            found = names.get(split) or "those of the dataset's type"
            key = f"{split}_dataloader.dataset.metainfo.classes"
            what = f"{_short(found)}, but training has {_short(names['train'])}"
            line = "dict(dataset=dict(metainfo=dict(classes=classes)))"
            cure = f"write {split}_dataloader = {line} with the same classes"
            yield Finding("error", key, what, cure)


def _setting(cfg: Config, split: str, name: str) -> Any:
    """A setting of a split's dataset, where that is a single one."""
    dataset = (cfg.get(f"{split}_dataloader") or {}).get("dataset") or {}
    while name not in dataset and "dataset" in dataset:
        dataset = dataset["dataset"]  # of a wrapper such as RepeatDataset
    return dataset.get(name)


def _short(names: str | Sequence[str]) -> str:
    if isinstance(names, str) or len(names) <= 4:
        return f"{names}"
    return f"{names[:3]} and {len(names) - 3} more"
