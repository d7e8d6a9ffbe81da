"""What tests of pre-trainings share: epochs that repeat, and what starts from them."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import FlexibleRunner, load_checkpoint
from tiny import ROOT, build_model, fresh_globals, load_tiny

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


def train_sharded(
    cfg: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> FlexibleRunner:
    """Train under FSDP, in this process alone."""
    cfg.merge_from_dict(Config.fromfile(ROOT / "configs/_base_/strategies/fsdp.py"))
    cfg.launcher, cfg.work_dir = "pytorch", str(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1).items():
        monkeypatch.setenv(name, str(value))
    store = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", store, rank=0, world_size=1)
    try:
        with fresh_globals():
            runner = FlexibleRunner.from_cfg(cfg)
            runner.train()
    finally:
        torch.distributed.destroy_process_group()
    return runner
