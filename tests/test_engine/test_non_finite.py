"""A loss that is not finite changes nothing, and many in a row end the run."""

from __future__ import annotations

import argparse
import copy
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import FlexibleRunner, Runner
from mmengine.structures import BaseDataElement
from tiny import fresh_globals
from torch import Tensor, nn
from torch.amp import GradScaler
from toy import in_processes, take_rank

from mmswinv2.engine.non_finite import NonFiniteLossHook

NAN, INF = float("nan"), float("inf")


class Norms(BaseModel):
    """Losses of four numbers, behind a batch norm; gradients may be infinite alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 1)

    def forward(self, inputs: Tensor, data_samples: list, mode: str) -> dict:
        out = self.linear(self.norm(inputs)).square().mean()
        steep = inputs.max() > 100  # the root of 0 has no slope
        root = (out * 0).sqrt() if steep else out * 0
        return dict(loss_cls=out, loss_root=root, accuracy=out * NAN)


class Batches(torch.utils.data.Dataset):
    """Pictures of four numbers, those of some steps spoilt."""

    def __init__(self, spoilt: dict[int, float], length: int, batch: int) -> None:
        self.spoilt, self.length, self.batch = spoilt, length, batch

    def __len__(self) -> int:
        return self.length * self.batch

    def __getitem__(self, index: int) -> dict:
        numbers = torch.randn(4, generator=torch.Generator().manual_seed(index))
        if index % self.batch == 1 and index // self.batch in self.spoilt:
            numbers[2] = self.spoilt[index // self.batch]
        sample = BaseDataElement(metainfo=dict(img_path=f"{index}.jpg"))
        return dict(inputs=numbers, data_samples=sample)


class Keep(Hook):
    """States behind each iteration."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.states: list[dict] = []

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        optimizer = runner.optim_wrapper.optimizer
        inner = getattr(optimizer, "optim", optimizer).state_dict()["state"]  # of ZeRO
        state = dict(model=runner.model.state_dict(), optimizer=inner)
        self.states.append(copy.deepcopy(shards(state)))


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """mmengine's wrapper with a loss scaler, which it has on GPUs only."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.loss_scaler = GradScaler("cpu")

    def backward(self, loss: Tensor, **kwargs: object) -> None:
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: object) -> None:
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


def train(
    folder: Path,
    spoilt: dict[int, float],
    *,
    length: int = 6,
    batch: int = 2,
    strategy: dict | None = None,
    **options: object,
) -> tuple[NonFiniteLossHook, list[dict], list[str]]:
    """The hook, states behind each iteration, and warnings."""
    stop_after = options.pop("stop_after", 3)
    checkpoint = options.pop("checkpoint", None)
    hook, keep = NonFiniteLossHook(stop_after), Keep()
    loader = dict(
        dataset=Batches(spoilt, length, batch),
        batch_size=batch // (dist.get_world_size() if dist.is_initialized() else 1),
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=collate,
    )
    torch.manual_seed(0)
    kind = FlexibleRunner if strategy else Runner
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
    more = (
        dict(strategy=strategy)
        if strategy
        else dict(cfg=dict(model_wrapper_cfg=wrapper))
    )
    with fresh_globals():
        runner = kind(
            Norms(),
            work_dir=str(folder),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=False, max_iters=length),
            optim_wrapper=dict(
                optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.1), **options
            ),
            custom_hooks=[hook, keep],
            default_hooks=dict(checkpoint=checkpoint),
            default_scope="mmengine",
            launcher="pytorch" if dist.is_initialized() else "none",
            experiment_name=f"{folder.name}{len(keep.states)}",
            **more,
        )
        warnings: list[str] = []
        runner.logger.warning = warnings.append
        try:
            runner.train()
        except RuntimeError as error:
            warnings.append(f"stopped: {error}")
    return hook, keep.states, warnings


def shards(node: object) -> object:
    """What this process has of sharded tensors."""
    if isinstance(node, dict):
        return {key: shards(value) for key, value in node.items()}
    return node.to_local() if hasattr(node, "to_local") else node


def collate(samples: list[dict]) -> dict:
    inputs = torch.stack([sample["inputs"] for sample in samples])
    return dict(inputs=inputs, data_samples=[s["data_samples"] for s in samples])


def same(one: object, other: object) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return torch.equal(one, other)


@pytest.mark.parametrize("value", [NAN, INF, 1e30, 200.0])
@pytest.mark.parametrize(
    "options",
    [{}, dict(clip_grad=dict(max_norm=1.0))],
    ids=["free", "clipped"],
)
def test_a_bad_step_changes_nothing(
    value: float, options: dict, tmp_path: Path
) -> None:
    """Neither weights, nor AdamW's state, nor the statistics of the batch norm."""
    hook, states, warnings = train(tmp_path, {2: value}, **options)
    assert (hook.total, hook.in_a_row) == (1, 0)
    assert not same(states[1], states[0]) and not same(states[3], states[2])
    for state in states[1:3]:
        state["model"].pop("norm.num_batches_tracked")
        if value == 200.0:  # of a finite loss
            state["model"] = {n: v for n, v in state["model"].items() if "run" not in n}
    assert same(states[2], states[1])
    what = {1e30: "statistics of batch norms", 200.0: "gradients"}.get(
        value, "loss_cls"
    )
    (warning,) = warnings
    assert warning.startswith(f"iteration 3: not finite were {what}")
    assert warning.endswith("4.jpg, 5.jpg. This step was left out")


def test_many_in_a_row_stop_the_run(tmp_path: Path) -> None:
    """With the last good weights; a good step between them begins the count anew."""
    spoilt = dict.fromkeys((0, 1, 3, 4, 5), NAN)
    hook, states, warnings = train(tmp_path, spoilt, length=9)
    assert (hook.total, hook.in_a_row, len(states)) == (5, 3, 5)
    assert same(states[4]["optimizer"], states[2]["optimizer"])
    *said, stop = warnings
    assert [text.split(":")[0] for text in said] == [
        f"iteration {i}" for i in (1, 2, 5)
    ]
    assert stop.startswith(
        "stopped: iteration 6: not finite were loss_cls, loss_root of"
    )
    assert "10.jpg, 11.jpg. 3 steps in a row were left out" in stop


@pytest.mark.parametrize(
    ("spoilt", "kept"), [((2, 3, 4), {2, 4}), ((2, 3), {6}), ((2, 4, 5), {4, 6})]
)
def test_checkpoints_from_before_stay_until_a_loss_is_finite(
    spoilt: tuple[int, ...], kept: set[int], tmp_path: Path
) -> None:
    """With one kept: weights that a step has ruined are as finite as others."""
    checkpoint = dict(type="mmswinv2.CheckpointHook", by_epoch=False)
    checkpoint.update(interval=1, max_keep_ckpts=1)
    train(tmp_path, dict.fromkeys(spoilt, NAN), checkpoint=checkpoint)
    assert {path.name for path in tmp_path.glob("*.pth")} == {
        f"iter_{number}.pth" for number in kept
    }


def test_a_run_may_go_on_without_end(tmp_path: Path) -> None:
    """It warns of the first, second, fourth, and so on."""
    hook, _, warnings = train(
        tmp_path, dict.fromkeys(range(1, 9), NAN), length=10, stop_after=None
    )
    assert (hook.total, len(warnings)) == (8, 4)
    assert warnings[-1].endswith("one of 8 so far")


def test_accumulated_gradients_are_left_out_together(tmp_path: Path) -> None:
    """One bad batch of two; the one that was bad is named."""
    options = dict(accumulative_counts=2)
    hook, states, warnings = train(tmp_path, {2: NAN}, length=8, **options)
    assert hook.total == 1
    assert same(states[3]["optimizer"], states[1]["optimizer"])
    assert not same(states[5]["optimizer"], states[3]["optimizer"])
    finite = (t.isfinite().all() for s in states for t in s["model"].values())
    assert all(finite)
    assert "of 4.jpg, 5.jpg" in warnings[0] and "6.jpg" not in warnings[0]


@pytest.mark.parametrize("options", [{}, dict(clip_grad=dict(max_norm=1.0))])
def test_a_loss_scaler_leaves_out_steps_by_itself(
    options: dict, tmp_path: Path
) -> None:
    """Infinite gradients are its own affair; a loss of NaN is counted."""
    kind = dict(type="CpuAmpOptimWrapper", **options)
    hook, states, warnings = train(
        tmp_path, {1: 200.0, 2: NAN, 3: 200.0}, length=6, **kind
    )
    assert hook.total == 1 and "iteration 3: not finite were loss_cls" in warnings[0]
    for i in (1, 2, 3):
        assert same(states[i]["optimizer"], states[0]["optimizer"])
    assert not same(states[4]["optimizer"], states[3]["optimizer"])


def test_nothing_that_cannot_be_loaded_is_saved() -> None:
    """Whatever brought it about."""
    hook = NonFiniteLossHook()
    good = dict(state_dict=dict(a=torch.ones(2)), optimizer=dict(state={0: {}}))
    runner = argparse.Namespace(iter=7)
    hook.before_save_checkpoint(runner, good)
    for part, bad in (("state_dict", dict(a=NAN)), ("optimizer", dict(state=[INF]))):
        key, value = next(iter(bad.items()))
        value = (
            [torch.tensor(v) for v in value] if key == "state" else torch.tensor(value)
        )
        with pytest.raises(RuntimeError, match=f"iteration 7: {part} {key}.*is kept"):
            hook.before_save_checkpoint(runner, good | {part: {key: value}})


@pytest.mark.parametrize("stop_after", [0, -1, 1.5, "three"])
def test_a_count_is_a_whole_number(stop_after: object) -> None:
    with pytest.raises(ValueError, match="expected a number of steps"):
        NonFiniteLossHook(stop_after)


def train_on(rank: int, world: int, port: int, folder: str) -> None:
    take_rank(rank, world, port)
    dist.init_process_group("gloo")
    for name, strategy in (
        ("ddp", None),
        ("zero", dict(type="mmswinv2.ZeRO1Strategy")),
        ("fsdp", dict(type="mmswinv2.FSDPStrategy")),
    ):
        # picture 1 of a batch is rank 1's; ranks go through pictures in turns
        spoilt = {2: NAN, 4: 200.0}
        found = train(Path(folder) / name, spoilt, batch=4, strategy=strategy)
        torch.save(found[1:], Path(folder) / f"{name}{rank}.pt")
    dist.destroy_process_group()


def test_all_processes_decide_alike(tmp_path: Path) -> None:
    """One of two has the bad picture; the first says which it was."""
    in_processes(train_on, 2, str(tmp_path))
    for name in ("ddp", "zero", "fsdp"):
        for rank in (0, 1):
            file = tmp_path / f"{name}{rank}.pt"
            states, said = torch.load(file, weights_only=False)
            assert "loss_cls, loss_root of 9.jpg, 11.jpg. This" in said[0]
            assert "gradients of 16.jpg, 18.jpg; gradients of 17.jpg, 19.jpg" in said[1]
            if name == "fsdp" and rank:  # the first has the only row
                continue
            weights = [
                value.float()
                for state in states
                for key, value in state["model"].items()
                if key.endswith("linear.weight")
            ]
            moved = [not torch.equal(a, b) for a, b in pairwise(weights)]
            assert moved == [True, False, True, False, True]
