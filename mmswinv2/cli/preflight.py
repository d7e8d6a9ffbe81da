"""Finds bad input before a run writes its first file."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import load_state_dict as load_matching
from torch import nn

from mmswinv2.apis import load_trained_weights, read_weights
from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.evaluation.unlabelled import is_unlabelled

LARGE_FILE = 100 * 2**20  # bytes; parsing more takes seconds, which datasets spend too


def check_device(cfg: Config, *, amp: bool = False) -> None:
    """Raises where a run asks for a GPU and there is none."""
    if torch.cuda.is_available():
        return
    if amp:
        raise ValueError(
            "mixed precision (--amp) needs a GPU, and torch sees none; leave it out, "
            "or check nvidia-smi and that torch is a CUDA build"
        )
    if cfg.launcher != "none":
        raise ValueError(
            f"--launcher {cfg.launcher} needs a GPU for each process, and torch sees "
            "none; without GPUs, start one process with --launcher none"
        )


def check_data(cfg: Config, split: str) -> None:
    """Raises where the data of a split ('train', 'val', 'test') are not there."""
    if cfg.get(f"{split}_dataloader") is None:
        return
    init_default_scope(cfg.default_scope)
    key = f"{split}_dataloader.dataset"
    for dataset in _datasets(cfg[f"{split}_dataloader"].dataset):
        root = dataset.get("data_root") or ""
        if "://" in root or dataset.get("backend_args"):
            continue  # not on this machine
        prefixes = dataset.get("data_prefix", {})
        parts = {f"data_prefix.{name}": part for name, part in prefixes.items()}
        if dataset.get("ann_file"):
            parts["ann_file"] = dataset.ann_file
        for name, part in parts.items():
            path = os.path.join(root, part)
            if not os.path.exists(path):
                raise FileNotFoundError(
                    f"{path} does not exist ({key}.{name}). Expected in the data root "
                    f"{root!r}: {', '.join(parts.values())}. Data that lie elsewhere: "
                    f"--cfg-options data_root=DIR{_hint(name)}"
                )
            if os.path.isdir(path) and not any(os.scandir(path)):
                raise FileNotFoundError(f"{path} is empty ({key}.{name}){_hint(name)}")
        _check_stuff(root, prefixes, key)
        _check_pipeline(dataset.get("pipeline", ()), key)
        with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
            kind = registry.get(dataset.type)
        if hasattr(kind, "COCOAPI"):
            classes = kind.METAINFO["classes"]
            classes = dataset.get("metainfo", {}).get("classes", classes)
            labelled = split != "test" or not is_unlabelled(cfg)
            path = os.path.join(root, dataset.ann_file)
            _check_coco_file(path, classes, labelled=labelled)
    for metric in as_list(cfg.get(f"{split}_evaluator")):
        file = metric.get("ann_file")
        if file and "://" not in file and not os.path.exists(file):
            key = f"{split}_evaluator.ann_file"
            raise FileNotFoundError(f"{file} does not exist ({key})")


def _hint(name: str) -> str:
    if name != "data_prefix.seg":
        return ""
    return (
        ". These are the pixel maps of things and stuff of COCO-Stuff, "
        "stuffthingmaps_trainval2017.zip; the configs called 'without-semantic' need "
        "none"
    )


def _check_stuff(root: str, prefixes: dict[str, str], key: str) -> None:
    """Raises where a picture, the first that is found, has no map of its pixels."""
    if not {"img", "seg"} <= prefixes.keys():
        return
    picture = next(os.scandir(os.path.join(root, prefixes["img"]))).name
    path = os.path.join(root, prefixes["seg"], Path(picture).stem + ".png")
    if not os.path.exists(path):
        name = "data_prefix.seg"
        raise FileNotFoundError(
            f"{path}, which belongs to {picture}, does not exist ({key}.{name})"
            f"{_hint(name)}"
        )


def _check_pipeline(pipeline: Sequence[dict], key: str) -> None:
    """Raises where a transform cannot be built, or its package is not installed."""
    for transform in pipeline:
        try:
            TRANSFORMS.build(copy.deepcopy(transform))
        except ImportError as error:
            raise RuntimeError(
                f"{key}.pipeline has {transform['type']}, whose package is missing: "
                f"{error} Or take {transform['type']} out of the pipeline"
            ) from error


def as_list(evaluators: dict | list | None) -> list[dict]:
    """The metrics of a config's evaluator, which is one metric or a list."""
    return evaluators if isinstance(evaluators, list) else [evaluators or {}]


def _datasets(dataset: dict) -> Iterator[dict]:
    """The datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    if "datasets" in dataset:
        for inner in dataset["datasets"]:
            yield from _datasets(inner)
    elif "dataset" in dataset:
        yield from _datasets(dataset["dataset"])
    else:
        yield dataset


def _check_coco_file(
    path: str, classes: tuple[str, ...], *, labelled: bool = True
) -> None:
    """Raises where a file is no COCO annotation file or knows none of the classes."""
    if os.path.getsize(path) > LARGE_FILE:
        with open(path, "rb") as file:
            file.seek(-16, os.SEEK_END)
            if not file.read().rstrip().endswith(b"}"):
                raise ValueError(f"{path} is truncated: its JSON object does not end")
        return
    try:
        content = json.loads(Path(path).read_bytes())
    except ValueError as error:  # bad JSON or bad UTF-8
        raise ValueError(f"{path} is no JSON file: {error}") from error
    wanted = ["images", *["annotations"] * labelled, "categories"]
    given = content if isinstance(content, dict) else {}
    found = [key for key in wanted if isinstance(given.get(key), list)]
    if found != wanted:
        raise ValueError(
            f"{path} is no COCO annotation file: expected an object with the lists "
            f"{', '.join(wanted)}, found {', '.join(found) or 'none of them'}"
        )
    names = [category["name"] for category in content["categories"]]
    if not set(names) & set(classes):
        raise ValueError(
            f"{path} has the categories {names[:3]}, of which the dataset knows none; "
            f"it has the classes {list(classes)[:3]}; set metainfo.classes"
        )


def check_model(cfg: Config, *, trained: str | None = None) -> None:
    """Builds the model on the CPU and loads its weights, to see whether they fit.

    Args:
        cfg (Config): The config of the run.
        trained (str, optional): A checkpoint to test, which must fit in full, as one
            to resume from must. Without it, the pre-trained weights of the config
            and its ``load_from`` are tried.
    """
    if cfg.get("resume"):
        trained = cfg.load_from
        _check_training_state(trained)
    init_default_scope(cfg.default_scope)
    with _quiet():
        # a copy: some of mmdet's models write into their configs
        model: nn.Module = MODELS.build(copy.deepcopy(cfg.model))
        if trained is not None:
            load_trained_weights(model, trained)
            return
        model.init_weights()
        if cfg.get("load_from"):
            state, _ = read_weights(model, cfg.load_from)
            load_matching(model, state)  # as the runner does: heads may differ


def _check_training_state(path: str) -> None:
    if not {"optimizer", "message_hub", "meta"} <= read_checkpoint(path).keys():
        raise ValueError(
            f"{path} holds weights but no state of a training run, so --resume cannot "
            "go on from it; start from its weights with --cfg-options load_from=FILE"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
