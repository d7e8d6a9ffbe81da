"""FSDP and ZeRO-1 in two processes do what one process without them does."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import STRATEGIES
from tiny import DET, Tool
from toy import in_processes, train_with_strategy

from mmswinv2.cli import strategies
from mmswinv2.engine import fsdp
from mmswinv2.models import SwinTransformerV2
from mmswinv2.places import CONFIG_DIR

FSDP = dict(type="mmswinv2.FSDPStrategy", with_cp=False)
RECOMPUTING = dict(FSDP, with_cp=True)
ZERO = dict(type="mmswinv2.ZeRO1Strategy")
BFLOAT16 = dict(FSDP, backbone_dtype="bfloat16")


def train(
    folder: Path, strategy: dict | None, *, processes: int = 2, **options: object
) -> Path:
    """Trains the toy; gives its work dir."""
    for file in folder.glob("losses*.pt"):
        file.unlink()  # of an earlier run with more processes
    arguments = str(folder), copy.deepcopy(strategy), options
    in_processes(train_with_strategy, processes, *arguments)
    return folder


def read(folder: Path, iteration: int) -> dict:
    return torch.load(folder / f"iter_{iteration}.pth", weights_only=False)


def losses(folder: Path) -> torch.Tensor:
    """The loss of every iteration, as the mean over all processes."""
    files = sorted(folder.glob("losses*.pt"))
    return torch.stack([torch.load(file) for file in files]).mean(0)


def largest_difference(one: dict, other: dict) -> float:
    assert one.keys() == other.keys()
    return max((one[k].double() - other[k]).abs().max().item() for k in one)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six iterations in one process."""
    return train(tmp_path_factory.mktemp("alone"), None, processes=1, iters=6)


BOTH = pytest.mark.parametrize("strategy", [RECOMPUTING, ZERO], ids=["fsdp", "zero1"])


@BOTH
def test_two_processes_equal_one(alone: Path, tmp_path: Path, strategy: dict) -> None:
    """Losses and weights, clipping by the norm of all gradients included."""
    folder = train(tmp_path, strategy, iters=4)
    assert torch.allclose(losses(folder), losses(alone)[:4], rtol=1e-4)
    norms = [torch.load(f, weights_only=False) for f in folder.glob("norms*.pt")]
    (expected,) = (torch.load(f, weights_only=False) for f in alone.glob("norms*.pt"))
    for norm in norms:
        assert norm == pytest.approx(expected[:4], rel=1e-3)
    saved, expected = read(folder, 4), read(alone, 4)
    # AdamW's first steps have the size of the learning rate, 1e-3
    assert largest_difference(saved["state_dict"], expected["state_dict"]) < 2e-5

    # each holds about half of AdamW's state, which is twice the parameters
    parameters = sum(tensor.numel() for tensor in saved["state_dict"].values())
    for rank in range(2):
        held = torch.load(folder / f"held{rank}.pt")
        assert 0.4 < held / (2 * parameters) < 0.6

    # stopped and resumed, it goes on as if it had not been stopped
    folder = train(folder, strategy, iters=6, resume=True)
    assert torch.allclose(losses(folder), losses(alone)[4:], rtol=1e-4)
    resumed = read(folder, 6)["state_dict"]
    assert largest_difference(resumed, read(alone, 6)["state_dict"]) < 2e-5

    # and its weights load into a model that knows of no strategy
    backbone = SwinTransformerV2("nano", depths=(1, 2, 1, 1), out_indices=(0, 3))
    weights = {
        name.removeprefix("backbone."): tensor
        for name, tensor in resumed.items()
        if name.startswith("backbone.")
    }
    backbone.load_state_dict(weights)
    assert largest_difference(backbone.state_dict(), weights) == 0


@BOTH
def test_resumes_what_was_trained_alone(
    alone: Path, tmp_path: Path, strategy: dict
) -> None:
    """And one process goes on with what two have saved: the files are the same."""
    saved = read(alone, 4)
    if strategy is RECOMPUTING:  # as torch's first one did
        optimizer = saved["optimizer"]
        optimizer["state"] = {f"p{n}": s for n, s in optimizer["state"].items()}
        for group in optimizer["param_groups"]:
            group["params"] = [f"p{n}" for n in group["params"]]
    torch.save(saved, tmp_path / "iter_4.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_4.pth"))
    folder = train(tmp_path, strategy, iters=5, resume=True)
    assert torch.allclose(losses(folder), losses(alone)[4:5], rtol=1e-4)
    folder = train(tmp_path, None, processes=1, iters=6, resume=True)
    assert torch.allclose(losses(folder), losses(alone)[5:], rtol=1e-4)


def test_fsdp_in_bfloat16(alone: Path, tmp_path: Path) -> None:
    """It is for the backbone alone: what is kept and saved stays in fp32."""
    folder = train(tmp_path, BFLOAT16, iters=2)
    differences = (losses(folder) - losses(alone)[:2]).abs()
    assert 0 < differences.max() < 0.02
    state = read(folder, 2)["state_dict"]
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
    parameters = sum(tensor.numel() for tensor in state.values())
    for rank in range(2):
        shard = torch.load(folder / f"shard{rank}.pt")
        assert 0.45 < shard / parameters < 0.55


def test_fsdp_carries_weights_to_other_windows(alone: Path, tmp_path: Path) -> None:
    """``load_from`` adopts the window of pre-training, as it does without FSDP."""
    weights = str(alone / "iter_6.pth")
    options = dict(iters=1, load_from=weights, window_size=4)
    one = train(tmp_path / "one", None, processes=1, **options)
    two = train(tmp_path / "two", FSDP, **options)
    assert torch.allclose(losses(two), losses(one), rtol=1e-4)
    records = [read(f, 1)["state_dict"]["backbone.window_record"] for f in (one, two)]
    assert records[0].tolist() == records[1].tolist()
    assert records[0][0].tolist() == [[4, 4], [8, 8]]


def test_fsdp_and_tables(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="position_bias='table'; train it without"):
        train(tmp_path, FSDP, iters=1, position_bias="table")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(backbone_dtype="float8"), "expected 'bfloat16' or 'float16'"),
        (dict(activation_checkpointing=dict()), "it has with_cp"),
        (dict(state_dict_cfg="local"), "its checkpoints are whole"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    cfg = dict(type="mmswinv2.FSDPStrategy", work_dir=str(tmp_path), **options)
    with pytest.raises(ValueError, match=message):
        STRATEGIES.build(cfg)


def test_fsdp_refuses_states_of_other_parameters(tmp_path: Path) -> None:
    strategy = STRATEGIES.build(dict(FSDP, work_dir=str(tmp_path)))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))])
    strategy.optim_wrapper = OptimWrapper(optimizer)
    for name in ("backbone.norm0.weight", 1):
        groups = [dict(params=["backbone.norm1.weight", name])]
        state = dict(state={name: {}}, param_groups=groups)
        with pytest.raises(ValueError, match=f"state of {name!r}, which is none of"):
            strategy.load_optim_state_dict(state)


def test_fsdp_says_which_torch_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsdp, "fully_shard", None)
    with pytest.raises(RuntimeError, match=r"needs torch 2\.6 or newer, this is"):
        STRATEGIES.build(dict(FSDP))
    assert not fsdp.is_sharded(torch.nn.Identity())


# tools/train.py --strategy

TRAIN = "tools/train.py"


def test_one_strategy_at_a_time(tool: Tool, tmp_path: Path) -> None:
    """Whether given twice, or in the config and again."""
    message = tool.fails(TRAIN, DET, "--strategy", "fsdp", "--strategy", "zero1")
    assert "one strategy, but got --strategy fsdp and --strategy zero1" in message
    config = tmp_path / "config.py"
    base, fsdp = (
        CONFIG_DIR / p for p in (f"mini/{DET}.py", "_base_/strategies/fsdp.py")
    )
    config.write_text(f"_base_ = ['{base}', '{fsdp}']\n")
    message = tool.fails(TRAIN, config, "--strategy", "zero1")
    assert (
        "strategy=mmswinv2.FSDPStrategy in the config and --strategy zero1" in message
    )
    zero = ["--cfg-options", "optim_wrapper.optimizer.type=ZeroRedundancyOptimizer"]
    message = tool.fails(TRAIN, DET, "--strategy", "fsdp", *zero)
    assert "optimizer.type=ZeroRedundancyOptimizer in the config and" in message


def test_what_a_strategy_needs(tool: Tool, tmp_path: Path) -> None:
    """Several processes; one precision; for DeepSpeed, its package."""
    message = tool.fails(TRAIN, DET, "--strategy", "fsdp")
    assert "one process per GPU with tools/dist_train.sh" in message
    spread = ["--launcher", "pytorch", "--strategy"]
    message = tool.fails(TRAIN, DET, *spread, "fsdp", "--amp")
    assert "two precisions for one backbone" in message
    config = tmp_path / "config.py"
    base = CONFIG_DIR / f"mini/{DET}.py"
    config.write_text(f"_base_ = '{base}'\ncustom_hooks = [dict(type='EMAHook')]\n")
    message = tool.fails(TRAIN, config, *spread, "fsdp")
    assert "EMAHook copies a whole model" in message
    message = tool.fails(TRAIN, DET, *spread, "deepspeed")
    assert "pip install deepspeed==0.16.9" in message


def test_the_configs(tmp_path: Path) -> None:
    """Each is a base beside the others; DeepSpeed takes over the clipping."""
    assert strategies.NAMES == ["deepspeed", "fsdp", "zero1"]
    for name in strategies.NAMES:
        cfg = Config.fromfile(CONFIG_DIR / f"mini/{DET}.py")
        strategies.apply(cfg, [name])
        assert cfg.runner_type == "FlexibleRunner"
        assert STRATEGIES.get(cfg.strategy.type) is not None
        if name == "deepspeed":
            assert cfg.strategy.gradient_clipping == 5.0
            assert "clip_grad" not in cfg.optim_wrapper
            assert cfg.optim_wrapper.type == "DeepSpeedOptimWrapper"
        else:
            assert cfg.optim_wrapper.clip_grad.max_norm == 5.0
        strategies.drop(cfg)
        assert not {"strategy", "runner_type"} & cfg.keys()
