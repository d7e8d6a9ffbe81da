"""Checks the data that a config names, and whether the config fits them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from .dataset import STUFF, DatasetCheck, metrics_of
from .findings import Finding
from .folders import compare_folders
from .heads import (
    check_backbone,
    check_classes,
    check_last_map,
    check_norms,
    check_sliding,
    kind_of,
    predicts_masks,
)
from .pictures import check_overlap
from .settings import check_settings


def check_config(
    cfg: Config, splits: Sequence[str], *, processes: int | None = None
) -> Iterator[Finding]:
    """What would stop a run of a config, or make it learn nonsense.

    Args:
        cfg (Config): The config.
        splits (Sequence[str]): Which of 'train', 'val' and 'test' the run reads.
        processes (int, optional): How many processes train together, if known.
    """
    init_default_scope(cfg.default_scope)
    yield from check_backbone(cfg.model, cfg.default_scope)
    yield from check_last_map(cfg.model)
    yield from check_sliding(cfg.model)
    yield from check_settings(cfg, splits)
    pictures: dict[str, dict[str, int]] = {}
    folders: dict[str, list[str]] = {}  # of classes
    counts: dict[str, int] = {}
    compared: set[int | None] = {None}  # numbers of classes
    for split in splits:
        if cfg.get(f"{split}_dataloader") is None:
            continue
        key = f"{split}_dataloader.dataset"
        pictures[split] = {}
        sets = [*inner_datasets(cfg[f"{split}_dataloader"].dataset, key)]
        for inner, dataset in sets:
            if "://" in (dataset.get("data_root") or "") or dataset.get("backend_args"):
                continue  # not on this machine
            found = list(_check_places(dataset, inner))
            yield from found
            if found:
                continue
            check = DatasetCheck(cfg, split, dataset, inner)
            yield from check.findings()
            if check.num_classes not in compared:
                compared.add(check.num_classes)
                source = check.classes_from or f"{inner}.metainfo.classes"
                yield from check_classes(cfg.model, check.num_classes or 0, source)
            pictures[split].update(check.pictures)
            folders.setdefault(split, check.class_folders)
            if len(sets) == 1 and inner == key:  # no wrapper that repeats them
                counts[split] = len(check.pictures)
        yield from _check_evaluator(cfg, split, sets)
    if "train" in splits:
        yield from check_norms(cfg, processes, counts.get("train"))
        yield from _check_batch(cfg, processes or 1, counts.get("train"))
    key = "val_dataloader.dataset"
    if folders.get("train") and folders.get("val"):
        yield from compare_folders(folders["train"], folders["val"], key)
    if pictures.get("train") and pictures.get("val"):
        yield from check_overlap(pictures["train"], pictures["val"], key)


def inner_datasets(dataset: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Keys and datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    if "datasets" in dataset:
        for number, inner in enumerate(dataset["datasets"]):
            yield from inner_datasets(inner, f"{key}.datasets.{number}")
    elif "dataset" in dataset:
        yield from inner_datasets(dataset["dataset"], f"{key}.dataset")
    else:
        yield key, dataset


def _check_places(dataset: Mapping, key: str) -> Iterator[Finding]:
    """Files and folders that are not there."""
    root = dataset.get("data_root") or ""
    prefixes = dataset.get("data_prefix") or {}
    if isinstance(prefixes, str):  # as mmpretrain has it
        places = {"data_prefix": prefixes}
    else:
        places = {f"data_prefix.{k}": v for k, v in prefixes.items() if v is not None}
    if dataset.get("ann_file"):
        places["ann_file"] = dataset["ann_file"]
    places = places or {"data_root": ""}
    for name, part in places.items():
        path = os.path.join(root, part) if part else root
        inside = ", ".join(filter(None, places.values())) or "pictures"
        cure = (
            f"expected in the data root {root!r}: {inside}. Data that lie elsewhere: "
            "--cfg-options data_root=DIR"
        )
        cure += STUFF if name == "data_prefix.seg" else ""
        if not os.path.exists(path):
            yield Finding("error", f"{key}.{name}", f"{path} does not exist", cure)
        elif os.path.isdir(path) and not any(os.scandir(path)):
            yield Finding("error", f"{key}.{name}", f"{path} is empty", cure)


def _check_batch(
    cfg: Mapping, processes: int, pictures: int | None
) -> Iterator[Finding]:
    """Fewer pictures than a batch takes, where epochs leave out what fills none."""
    loader = cfg["train_dataloader"]
    batch = loader.get("batch_size")
    if not (pictures and batch and loader.get("drop_last")):
        return
    share = -(-pictures // processes)
    if share < batch:
        key = "train_dataloader.batch_size"
        what = f"{batch}, more than a process has pictures: an epoch has no batch"
        cure = f"set it to what there is or less: --cfg-options {key}={share}"
        yield Finding("error", key, what, cure)


def _check_evaluator(
    cfg: Mapping, split: str, sets: Sequence[tuple[str, Mapping]]
) -> Iterator[Finding]:
    """Annotations and kinds of results that a metric asks for and does not get."""
    key = f"{split}_evaluator"
    classes = (cfg["model"].get("head") or {}).get("num_classes")
    for metric in metrics_of(cfg, split) if split != "train" else ():
        topk = metric.get("topk", 1)
        best = max([topk] if isinstance(topk, int) else topk)
        if kind_of(metric) == "Accuracy" and classes and best > classes:
            what = f"topk={topk}, at which it stops: the model has {classes} classes"
            yield Finding("error", key, what, f"write {key} = dict(topk=(1,))")
        wanted = metric.get("metric", ())
        segm = "segm" in ([wanted] if isinstance(wanted, str) else wanted)
        if "Coco" in kind_of(metric) and segm and not predicts_masks(cfg["model"]):
            what = "metric='segm', but the model has no mask head"
            yield Finding("error", key, what, f"set {key}.metric='bbox'")
        file = metric.get("ann_file")
        if not file or "://" in file:
            continue
        if not os.path.exists(file):
            what = f"{file} does not exist"
            yield Finding("error", f"{key}.ann_file", what, "set it to the val file")
        elif len(sets) == 1 and (other := sets[0][1].get("ann_file")):
            path = os.path.join(sets[0][1].get("data_root") or "", other)
            if os.path.exists(path) and not os.path.samefile(path, file):
                what = f"{file}, but {sets[0][0]} reads {path}"
                cure = "set both to the same file"
                yield Finding("error", f"{key}.ann_file", what, cure)
