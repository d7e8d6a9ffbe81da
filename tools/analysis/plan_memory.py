"""Predicts the training memory of a config, and which switches make it fit a GPU.

The backbone is counted tensor by tensor, necks and heads in a forward pass of zeros on
the CPU; what passes during the backward pass is an estimate. Both counts are tested
against the tensors that autograd saves. With --measure, a real training step on this
machine's GPU is compared with the prediction; we had none: not measured.

Examples:
    >>> python tools/analysis/plan_memory.py CONFIG --gpu 80GB
    >>> python tools/analysis/plan_memory.py CONFIG --gpu 24GB --amp --gpus 4
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import launch  # first: puts the package on the path
import strategies
import torch
from heads_memory import heads_memory
from memory_plan import SHARE, Memory, Parameters, Plan, cheapest, cost, switches
from memory_report import breakdown, describe, gib, stage_table
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from torch import Tensor, nn
from training_batch import image_size, make_batch

from mmswinv2.architectures import Architecture
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.blocks import SwinBlock, SwinStage
from mmswinv2.models.memory_model import (
    Block,
    Part,
    Training,
    block_kept,
    block_passing,
    stage_maps,
)

GIB = 2**30
STATES = {"Adam": 8, "AdamW": 8, "SGD": 4}  # bytes of an optimizer per parameter


def parse_gpu(text: str) -> float:
    """Bytes of a GPU from '80GB', '80' or '23.6GiB'; all of them in GiB, as sold."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(GB|GiB|G)?", text, re.IGNORECASE)
    if not match or not float(match[1]):
        raise ValueError(f"--gpu {text}: expected its memory, such as 80GB or 24GB")
    return float(match[1]) * GIB


def build_on_meta(cfg: Config) -> nn.Module:
    """The model of a config without memory."""
    init_default_scope(cfg.default_scope)
    model = copy.deepcopy(cfg.model)
    with torch.device("meta"):
        return MODELS.build(model)


def read_training(
    cfg: Config, backbone: SwinTransformerV2, image: list[int] | None = None
) -> Training:
    """How a config trains its backbone."""
    stages = backbone.layers
    block: SwinBlock = stages[0].blocks[0]
    fsdp = "FSDP" in cfg.get("strategy", {}).get("type", "")
    all_cp = fsdp and cfg.strategy.get("with_cp", True)
    half = is_amp(cfg) or (fsdp and cfg.strategy.get("backbone_dtype"))
    extra = [
        i + 1
        for stage in stages
        for i, b in enumerate(stage.blocks)
        if isinstance(b.norm3, nn.LayerNorm)
    ]
    return Training(
        arch=Architecture(
            backbone.embed_dims,
            backbone.depths,
            tuple(stage.blocks[0].attn.logit_scale.shape[0] for stage in stages),
            min(extra, default=0),
        ),
        image=tuple(image or image_size(cfg)),
        batch=cfg.train_dataloader.batch_size,
        windows=backbone.window_size,
        number=2 if half else 4,
        attention=block.attn.implementation,
        with_cp=tuple(bool(stage.with_cp or all_cp) for stage in stages),
        checkpoint=stages[0].checkpoint,
        window_fit=stages[0].window_fit,
        position_bias=backbone.position_bias,
        mlp_ratio=block.mlp.fc1.out_features / backbone.embed_dims,
        drop_rate=block.mlp.drop.p,
        frozen_stages=backbone.frozen_stages,
        out_indices=backbone.out_indices,
    )


def is_amp(cfg: Config) -> bool:
    """Whether the whole model runs under autocast."""
    return cfg.optim_wrapper.get("type") == "AmpOptimWrapper"


def read_parameters(model: nn.Module, training: Training) -> Parameters:
    """Numbers of parameters by parts."""

    def count(module: nn.Module, trainable: bool = True) -> int:
        return sum(
            p.numel() for p in module.parameters() if p.requires_grad | ~trainable
        )

    numbers = {
        part.name: count(model.backbone.get_submodule(part.name))
        for part in training.parts()
    }
    numbers["heads"] = count(model) - sum(numbers.values())
    blocks = [count(m, False) for m in model.modules() if isinstance(m, SwinBlock)]
    return Parameters(count(model, False), numbers, max(blocks), sum(blocks))


def read_memory(cfg: Config, model: nn.Module, training: Training) -> Memory:
    """What a model takes, with its heads counted once per precision."""

    @cache
    def counted(amp: bool) -> tuple[int, int]:
        return heads_memory(cfg, training, amp=amp)

    def other_parts(plan: Plan) -> list[Part]:
        images = plan.training.batch / training.batch
        kept, largest = (int(size * images) for size in counted(plan.amp))
        parts = [global_attention(stage, plan.training) for stage in stages]
        return [*parts, Part("heads", len(training.arch.depths), kept, 2 * largest)]

    inside = {*model.backbone.layers}
    stages = [
        m for m in model.modules() if isinstance(m, SwinStage) and m not in inside
    ]
    optimizer = cfg.optim_wrapper.get("optimizer", {})
    kind = optimizer.get("optimizer_type", optimizer.get("type"))
    if kind not in STATES:
        raise ValueError(
            f"optimizer {kind!r}: the bytes of its state are not known; known are "
            f"{', '.join(STATES)}"
        )
    state = 0 if kind == "SGD" and not optimizer.get("momentum") else STATES[kind]
    return Memory(read_parameters(model, training), state, other_parts)


def global_attention(stage: SwinStage, training: Training) -> Part:
    """The block on the last map that HTC++ has as a neck."""
    size = stage_maps(training.image, len(training.arch.depths))[-1]
    block: SwinBlock = stage.blocks[0]
    shape = Block(
        batch=training.batch,
        size=size,
        window=size,
        shift=(0, 0),
        channels=block.mlp.fc1.in_features,
        heads=block.attn.logit_scale.shape[0],
        hidden=block.mlp.fc1.out_features,
        number=training.number,
    )
    recompute = stage.checkpoint if stage.with_cp else None
    how = dict(attention=block.attn.implementation, recompute=recompute)
    kept = sum(block_kept(shape, **how).values())
    passing = block_passing(shape, **how)
    return Part("neck", len(training.arch.depths), kept, passing)


def suggest(memory: Memory, plan: Plan, budget: float, config: str) -> list[str]:
    """Lines on what to change, and the command that does."""
    fits = memory.total(plan) <= budget
    best = cheapest(memory, plan, budget)
    if best is None:
        return [
            "No set of switches fits: take smaller images, a smaller arch or more GPUs."
        ]
    if fits and cost(best, plan) > cost(plan, plan) - 0.02:
        return ["It fits, and no switch would make it notably faster."]
    flags, options = switches(plan, best)
    arguments = [*flags, *(["--cfg-options"] if options else []), *options]
    needed = gib(memory.total(best))
    lines = [
        f"The fastest that fits ({needed} GiB, instead of {gib(memory.total(plan))}):"
        if fits
        else f"The cheapest switches that make it fit ({needed} GiB):",
        "",
        " \\\n    ".join([f"python tools/train.py {config}", *arguments]),
    ]
    lines.append("")
    again = best.recompute_time
    if again:
        lines.append(f"Recomputation takes {again:.0%} of the backbone's time (est.).")
    if best.training.batch != plan.training.batch:
        steps = plan.training.batch // best.training.batch
        lines.append(
            f"Schedules that count iterations, val_interval too, need {steps} times as "
            "many.\nWhat heads keep was scaled to this batch size, not counted."
        )
    if best.training.windows != plan.training.windows:
        lines.append("Smaller windows cost accuracy.")
    return lines


def train(
    cfg: Config, plan: Plan, device: str, before_last: Callable[[], None]
) -> Tensor:
    """Train three steps, the last one with the optimizer's state there; its loss."""
    init_default_scope(cfg.default_scope)
    config = copy.deepcopy(cfg.model)
    config.backbone.init_cfg = None
    model = revert_sync_batchnorm(MODELS.build(config)).to(device).train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_batch(cfg, plan.training.batch, plan.training.image, device)
    for step in range(3):
        if step == 2:
            before_last()
        with wrapper.optim_context(model):
            loss, _ = model.parse_losses(model.loss(*batch))
        wrapper.update_params(loss)
    return loss


def measure(cfg: Config, plan: Plan) -> int:
    """Peak of a training step on this machine's GPU, in bytes.

    Raises:
        ValueError: If the config shares the model among several GPUs.
        RuntimeError: If there is no GPU.
    """
    if plan.strategy:
        raise ValueError(f"--measure trains on one GPU, without {plan.strategy}")
    if not torch.cuda.is_available():
        raise RuntimeError("--measure needs a GPU, and torch sees none; leave it out")
    train(cfg, plan, "cuda", torch.cuda.reset_peak_memory_stats)
    return torch.cuda.max_memory_allocated()


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument("--gpu", default="80GB", help="its memory (default: 80GB)")
    parser.add_argument(
        "--gpus",
        type=int,
        help="how many (default: what the batch of the config is for)",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument(
        "--strategy", choices=["zero1", "fsdp"], action="append", default=[]
    )
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="px (default: the largest of the training pipeline)",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="train three steps on this machine's GPU and compare",
    )
    launch.add_arguments(parser)
    return parser.parse_args()


def read_plan(
    cfg: Config, gpus: int | None = None, image: list[int] | None = None
) -> tuple[nn.Module, Plan]:
    """The model of a config, without memory, and how it is trained."""
    kind = cfg.model.get("backbone", {}).get("type", "none")
    if "SwinTransformerV2" not in str(kind):
        raise ValueError(
            f"the backbone is {kind}; only SwinTransformerV2 is known here"
        )
    model = build_on_meta(cfg)
    training = read_training(cfg, model.backbone, image)
    whole = cfg.get("auto_scale_lr", {}).get("base_batch_size", training.batch)
    name = cfg.get("strategy", {}).get("type", "")
    strategy = "fsdp" if "FSDP" in name else "zero1" if name else None
    gpus = gpus or max(whole // training.batch, 1)
    return model, Plan(training, is_amp(cfg), strategy, gpus)


def main() -> None:
    """Runs the command."""
    with launch.Preparation():
        args = parse_args()
        gpu = parse_gpu(args.gpu)
        if args.gpus is not None and args.gpus < 1:
            raise ValueError(f"--gpus {args.gpus}: expected 1 or more")
        if args.image_size and min(args.image_size) < 1:
            raise ValueError(f"--image-size {args.image_size}: expected px, 1 or more")
        MMLogger.get_current_instance().setLevel("ERROR")
        warnings.filterwarnings("ignore")  # of the frameworks, on models without data
        cfg = launch.load_config(args)
        strategies.apply(cfg, args.strategy)
        if args.amp:
            cfg.optim_wrapper.type = "AmpOptimWrapper"
        gpus = 1 if args.measure else args.gpus
        model, plan = read_plan(cfg, gpus, args.image_size)
        memory = read_memory(cfg, model, plan.training)
        console = Console(width=100, highlight=False)
        console.print(describe(plan, args.config))
        console.print(stage_table(plan))
        console.print(breakdown(memory, plan, SHARE * gpu, gpu))
        for line in suggest(memory, plan, SHARE * gpu, args.config):
            print(line)
        if args.measure:
            peak, predicted = measure(cfg, plan), memory.total(plan)
            print(f"measured {gib(peak)} GiB, predicted {predicted / peak:.2f} of it")


if __name__ == "__main__":
    main()
