"""Finds bad input before a run writes its first file."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import load_state_dict as load_matching

from mmswinv2.apis import check_class_names, load_trained_weights, read_weights
from mmswinv2.own_data.checks.config import check_config, inner_datasets
from mmswinv2.own_data.checks.findings import raise_errors
from mmswinv2.planning.training_batch import image_size

from . import strategies
from .training_state import check_training_state

SKIP = "MMSWINV2_PREFLIGHT"  # 0 in the environment: no look at data and weights


def check_data(cfg: Config, *splits: str) -> None:
    """Raises where a run of these splits would fail on its data or learn nonsense.

    Warnings are logged. MMSWINV2_PREFLIGHT=0 in the environment skips it.

    Args:
        cfg (Config): The config of the run.
        *splits (str): What it reads, of 'train', 'val' and 'test'.
    """
    if os.environ.get(SKIP) == "0":
        return
    findings = [*check_config(cfg, splits, processes=_processes(cfg))]
    raise_errors(findings)
    for finding in findings:
        print_log(str(finding), "current", logging.WARNING)
    for split in splits:
        if cfg.get(f"{split}_dataloader") is not None:
            key = f"{split}_dataloader.dataset"
            for name, dataset in inner_datasets(
                cfg[f"{split}_dataloader"].dataset, key
            ):
                _check_pipeline(dataset.get("pipeline", ()), name, cfg)


def _processes(cfg: Config) -> int:
    """How many processes train together."""
    if cfg.get("launcher", "none") == "none":
        return 1
    names = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
    return next((int(os.environ[name]) for name in names if name in os.environ), 1)


def _check_pipeline(pipeline: Sequence[dict], key: str, cfg: Config) -> None:
    """Raises where a transform cannot be built, or does not suit the others."""
    transforms = []
    for transform in pipeline:
        try:
            transforms.append(TRANSFORMS.build(copy.deepcopy(transform)))
        except ImportError as error:
            raise RuntimeError(
                f"{key}.pipeline has {transform['type']}, whose package is missing: "
                f"{error} Or take {transform['type']} out of the pipeline"
            ) from error
    for transform in transforms:
        if check := getattr(transform, "check_run", None):  # those that read maps
            check(cfg, transforms)


def as_list(evaluators: dict | list | None) -> list[dict]:
    """The metrics of a config's evaluator, which is one metric or a list."""
    return evaluators if isinstance(evaluators, list) else [evaluators or {}]


def check_model(cfg: Config, *, trained: str | None = None) -> None:
    """Builds the model on the CPU and loads its weights, to see whether they fit.

    Args:
        cfg (Config): The config of the run.
        trained (str, optional): A checkpoint to test, which must fit in full, as one
            to resume from must. Without it, the pre-trained weights of the config
            and its ``load_from`` are tried.

    MMSWINV2_PREFLIGHT=0 in the environment skips it.
    """
    if os.environ.get(SKIP) == "0":
        return
    if cfg.get("resume"):
        if strategies.is_deepspeed(cfg):  # its folder tells nobody else
            return
        trained = cfg.load_from
        check_training_state(trained)
    init_default_scope(cfg.default_scope)
    with _quiet():
        # a copy: some of mmdet's models write into their configs
        model: Any = MODELS.build(copy.deepcopy(cfg.model))
        if hasattr(model, "check_pictures"):
            model.check_pictures(image_size(cfg))
        if trained is not None:
            meta = load_trained_weights(model, trained)
            check_class_names(cfg.model, meta, trained)
            return
        model.init_weights()
        if cfg.get("load_from"):
            state, _ = read_weights(model, cfg.load_from)
            load_matching(model, state)  # as the runner does: heads may differ


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
