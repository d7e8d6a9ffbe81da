"""Runs of one small layer in which everything is drawn at random."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from tiny import fresh_globals
from torch import nn
from toy import Killed


class Noise:
    """Samples of noise from all three generators; sizes and classes for samplers."""

    def __init__(self, length: int = 11, broken: int | None = None) -> None:
        self.length, self.broken = length, broken
        self.metainfo = dict(classes=("a", "b"))

    def __len__(self) -> int:
        return self.length

    def get_data_info(self, index: int) -> dict:
        size = dict(width=32 + 16 * (index % 3 == 0), height=40)
        return dict(img_path=f"pictures/{index}.jpg", **size)

    def get_cat_ids(self, index: int) -> list[int]:
        return [index % 2]

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == self.broken:
            raise OSError("image file is truncated")
        noise = [random.random(), np.random.rand(), torch.rand(()).item()]
        return torch.tensor([index, *noise])


class Layer(BaseModel):
    """A linear layer behind dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.seen: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor, mode: str = "loss") -> object:
        if mode != "loss":
            return [random.random(), np.random.rand(), torch.rand(()).item()]
        self.seen.append(inputs)
        out = self.layer(nn.functional.dropout(inputs, 0.3))
        return dict(loss=(out * np.random.rand()).square().mean())


class Collate:
    def __call__(self, batch: list[torch.Tensor]) -> dict:
        return dict(inputs=torch.stack(batch))


class Score(BaseMetric):
    """Better with every evaluation."""

    count = 0

    def process(self, data_batch: object, data_samples: list) -> None:
        self.results.append(data_samples)

    def compute_metrics(self, results: list) -> dict:
        self.count += 1
        return dict(acc=self.count)


class KillAt(Hook):
    """As a job that ends before anything of this iteration is saved."""

    priority = "HIGHEST"

    def __init__(self, step: int) -> None:
        self.step = step

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        if runner.iter + 1 == self.step:
            raise Killed


def with_workers(loader: dict) -> dict:
    return dict(loader, persistent_workers=loader["num_workers"] > 0)


def noisy(
    folder: Path,
    *,
    kill: int = 0,
    loader: dict | None = None,
    val_loader: dict | None = None,
    train_cfg: dict | None = None,
    checkpoint: dict | None = None,
    optim_wrapper: dict | None = None,
    hooks: tuple = (),
    **options: object,
) -> Runner:
    """A runner; trained unless killed. Two epochs of four batches, or as given."""
    samples = dict(
        batch_size=3,
        num_workers=0,
        dataset=Noise(),
        sampler=dict(type="DefaultSampler", shuffle=True),
        collate_fn=Collate(),
    )
    validation = dict(samples, sampler=dict(type="DefaultSampler", shuffle=False))
    optimizer = dict(type="AdamW", lr=0.05)
    torch.manual_seed(0)
    with fresh_globals():
        runner = Runner(
            Layer(),
            str(folder),
            train_dataloader=with_workers(samples | (loader or {})),
            train_cfg=train_cfg or dict(by_epoch=True, max_epochs=2),
            val_dataloader=with_workers(validation | (val_loader or {})),
            val_cfg=dict(),
            val_evaluator=[Score()],
            optim_wrapper=dict(optimizer=optimizer) | (optim_wrapper or {}),
            param_scheduler=dict(type="LinearLR", by_epoch=False, end=12),
            default_hooks=dict(
                checkpoint=dict(
                    dict(type="mmswinv2.CheckpointHook", interval=1, by_epoch=False)
                    | (checkpoint or {})
                ),
                repeatable=dict(type="mmswinv2.RepeatableHook"),
            ),
            custom_hooks=[KillAt(kill), *hooks],
            experiment_name=f"{folder.name}-{os.urandom(4).hex()}",
            **dict(randomness=dict(seed=5)) | options,
        )
        try:
            runner.train()
        except Killed:
            assert kill
        finally:
            # as garbage of a cycle, persistent workers are waited for in vain
            for loader in (runner.train_dataloader, runner.val_dataloader):
                if loader._iterator is not None:
                    loader._iterator._shutdown_workers()
    return runner
