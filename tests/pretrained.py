"""What tests of pre-trainings share: epochs that repeat, and what starts from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import FlexibleRunner, load_checkpoint
from tiny import build_model, load_tiny

from mmswinv2.checkpoints import read_checkpoint


@HOOKS.register_module(force=True)
class SeedEachEpoch(Hook):
    """As mmengine keeps no state of random numbers in checkpoints."""

    def before_train_epoch(self, runner: FlexibleRunner) -> None:
        np.random.seed(runner.epoch)
        torch.manual_seed(runner.epoch)


def start_from(checkpoint: Path, name: str, way: str, **backbone: object) -> BaseModel:
    """A detector or segmentor whose backbone has all tensors of a checkpoint.

    Args:
        checkpoint (Path): Of a pre-training.
        name (str): Of the config.
        way (str): 'init_cfg' or 'load_from'.
        **backbone (Any): Settings of its backbone.
    """
    cfg = load_tiny(name)
    cfg.model.backbone.update(backbone)
    if way == "init_cfg":
        init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint))
        cfg.model.backbone.init_cfg = init_cfg
    model = build_model(cfg)
    if way == "load_from":
        load_checkpoint(model, str(checkpoint))
    absent = model.backbone.loaded.absent
    assert {name.split(".")[0] for name in absent} == {"norm0", "norm1", "norm2"}
    trained = read_checkpoint(checkpoint)["state_dict"]
    for key, tensor in model.backbone.named_parameters():
        if key not in absent:
            assert torch.equal(tensor, trained[f"backbone.{key}"]), key
    return model
