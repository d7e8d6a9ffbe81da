"""A small segmentor and runs of it, for tests of the window and resolution schedule."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.runner import FlexibleRunner, Runner
from mmengine.structures import BaseDataElement, PixelData
from torch import nn
from torch.multiprocessing import start_processes
from torch.utils.data import Dataset

from mmswinv2.models import SwinTransformerV2

SCHEDULE = [
    dict(begin=0, window_size=4, scale=0.5),
    dict(begin=2, window_size=(8, 6), scale=0.75),
    dict(begin=4, window_size=[8, 8, 8, 4], scale=1.0),
]


class Pictures(Dataset):
    """Pictures of 64 x 64 px with labels that follow from their brightness."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 8, 8, generator=generator) * 255
        image = F.interpolate(coarse, (64, 64)).byte()[0]
        labels = (image.float().mean(0, keepdim=True) > 127).long()
        sample = BaseDataElement(gt_sem_seg=PixelData(data=labels))
        return dict(inputs=image, data_samples=sample)


class Segmentor(BaseModel):
    """Two classes at a quarter of the resolution."""

    def __init__(self, *, amp: bool = False, **backbone: object) -> None:
        super().__init__(ImgDataPreprocessor([127.0] * 3, [64.0] * 3))
        self.amp = amp
        self.backbone = SwinTransformerV2(
            "nano",
            depths=(1, 2, 1, 1),
            drop_path_rate=0.0,
            out_indices=(0, 3),
            **backbone,
        )
        self.head = nn.Conv2d(32 + 256, 2, 1)
        self.seen: list[tuple] = []

    def forward(
        self, inputs: torch.Tensor, data_samples: list, mode: str = "tensor"
    ) -> object:
        self.seen.append((mode, tuple(inputs.shape[-2:]), self.backbone.window_size[0]))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.amp):
            fine, deep = self.backbone(inputs)
        deep = F.interpolate(deep, fine.shape[-2:])
        out = self.head(torch.cat((fine, deep), 1).float())
        if mode != "loss":
            return [out.mean()]
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples])
        assert labels.shape[-2:] == inputs.shape[-2:]
        labels = F.interpolate(labels.double(), out.shape[-2:])[:, 0].long()
        return dict(loss=F.cross_entropy(out, labels))


class Mean(BaseMetric):
    def process(self, data_batch: object, data_samples: list) -> None:
        self.results.append(float(data_samples[0]))

    def compute_metrics(self, results: list) -> dict:
        return dict(mean=sum(results) / len(results))


class Killed(Exception):
    """As a job that runs out of time."""


class Kill(Hook):
    priority = "LOWEST"  # after the checkpoint

    def __init__(self, at: int) -> None:
        self.at = at

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        if runner.iter + 1 == self.at:
            raise Killed


def loader(batch_size: int = 2, workers: int = 0) -> dict:
    return dict(
        dataset=Pictures(),
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=dict(type="pseudo_collate"),
    )


def build(
    work_dir: Path,
    hook: dict,
    *,
    iters: int = 6,
    epochs: int | None = None,
    batch_size: int = 2,
    workers: int = 0,
    hooks: tuple = (),
    val_interval: int | None = None,
    backbone: dict | None = None,
    optimizer: dict | None = None,
    **kwargs: object,
) -> Runner:
    """A runner of six iterations, three epochs of ``Pictures`` at batch size 4."""
    torch.manual_seed(0)
    model = Segmentor(**(backbone or {}))
    model.init_weights()
    optim_wrapper = dict(optimizer=optimizer or dict(type="AdamW", lr=1e-3))
    train_cfg = dict(type="IterBasedTrainLoop", max_iters=iters)
    if epochs:
        train_cfg = dict(by_epoch=True, max_epochs=epochs)
    evaluation = {}
    if val_interval:
        train_cfg["val_interval"] = val_interval
        evaluation = dict(
            val_dataloader=loader(), val_cfg=dict(), val_evaluator=[Mean()]
        )
    return Runner(
        model,
        str(work_dir),
        train_dataloader=loader(batch_size, workers),
        train_cfg=train_cfg,
        optim_wrapper=optim_wrapper,
        test_dataloader=loader(),
        test_cfg=dict(),
        test_evaluator=[Mean()],
        **evaluation,
        custom_hooks=[
            dict(type="mmswinv2.WindowResolutionTransferHook", **hook),
            *hooks,
        ],
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=bool(epochs)),
            logger=dict(type="LoggerHook", interval=1),
        ),
        visualizer=dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")]),
        experiment_name=f"{work_dir.name}_{len([*work_dir.glob('*')])}_{os.getpid()}",
        **kwargs,
    )


def take_rank(rank: int, world: int, port: int) -> None:
    """Say which of the processes this one is."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)


def in_processes(function: Callable, world: int, *arguments: object) -> None:
    """Calls ``function(rank, world, port, *arguments)`` in processes.

    They are forks of one that has imported the package, which takes each five seconds.
    """
    multiprocessing.set_forkserver_preload(["mmengine.runner", "mmswinv2.engine"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_processes(
        function, (world, port, *arguments), world, start_method="forkserver"
    )


def train_rank(rank: int, world: int, port: int, work_dir: str) -> None:
    """Train on one of several processes."""
    take_rank(rank, world, port)
    dist.init_process_group("gloo")
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
    runner = build(
        Path(work_dir),
        dict(schedule=SCHEDULE, plot=False),
        batch_size=4 // world,
        launcher="pytorch",
        optimizer=dict(type="SGD", lr=0.05, momentum=0.9),
        cfg=dict(model_wrapper_cfg=wrapper),
    )
    runner.train()
    dist.destroy_process_group()


def count_here(tensors: Iterable[torch.Tensor]) -> int:
    """Numbers of tensors or of what this process has of them."""
    return sum(getattr(t, "to_local", lambda t=t: t)().numel() for t in tensors)


class Losses(Hook):
    """Keeps what each process sees: losses, norms, its shard and optimizer state."""

    def __init__(self) -> None:
        self.losses: list[torch.Tensor] = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: dict | None = None,
    ) -> None:
        self.losses.append(outputs["loss"].detach().double())

    def after_train(self, runner: Runner) -> None:
        folder, rank = Path(runner.work_dir), runner.rank
        torch.save(torch.stack(self.losses), folder / f"losses{rank}.pt")
        optimizer = runner.optim_wrapper.optimizer
        state = getattr(optimizer, "optim", optimizer).state  # of ZeRO: its own part
        held = [t for s in state.values() for t in s.values() if t.dim()]
        torch.save(count_here(held), folder / f"held{rank}.pt")
        shard = count_here(runner.model.parameters())
        torch.save(shard, folder / f"shard{rank}.pt")
        norm = runner.message_hub.get_scalar("train/grad_norm").data[0]
        torch.save(norm, folder / f"norms{rank}.pt")


def train_with_strategy(
    rank: int,
    world: int,
    port: int,
    work_dir: str,
    strategy: dict | None,
    options: dict,
) -> None:
    """Train on one of several processes, or alone."""
    take_rank(rank, world, port)
    if world > 1:
        dist.init_process_group("gloo")
    options = dict(iters=1, resume=False, load_from=None, window_size=8) | options
    runner_options = {name: options.pop(name) for name in ("resume", "load_from")}
    max_iters = options.pop("iters")
    torch.manual_seed(0)
    optimizer = dict(type="AdamW", lr=1e-3, weight_decay=0.05)
    runner = FlexibleRunner(
        Segmentor(**options),
        work_dir=work_dir,
        strategy=strategy,
        train_dataloader=loader(4 // world),
        train_cfg=dict(by_epoch=False, max_iters=max_iters),
        optim_wrapper=dict(
            optimizer=optimizer,
            constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
            paramwise_cfg=dict(layer_decay_rate=0.9),
            clip_grad=dict(max_norm=1.0),  # less than the gradients have
        ),
        param_scheduler=dict(type="LinearLR", start_factor=0.5, by_epoch=False, end=6),
        custom_hooks=[dict(type="mmswinv2.WindowResolutionTransferHook"), Losses()],
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=False)
        ),
        launcher="pytorch" if world > 1 else "none",
        visualizer=dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")]),
        default_scope="mmengine",
        randomness=dict(seed=0),
        **runner_options,
    )
    runner.train()
    if world > 1:
        dist.destroy_process_group()
