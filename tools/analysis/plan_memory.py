"""Predicts the training memory and time of a config, and what makes it fit a GPU.

The backbone is counted tensor by tensor, necks and heads in a forward pass of zeros on
the CPU; what passes during the backward pass is an estimate. Both counts are tested
against the tensors that autograd saves. With --measure, a real training step on this
machine's GPU is compared with the prediction; we had none: not measured.

Time, exchange between GPUs and GPU-days of the whole schedule are reckoned for GPUs
that are known: h200, h100, a100-80, a100-40, rtx4090, rtx3090; 80GB is taken for
an H100, 40GB for an A100, 24GB for an RTX 4090.

Examples:
    >>> python tools/analysis/plan_memory.py CONFIG --gpu 80GB
    >>> python tools/analysis/plan_memory.py CONFIG --gpu 24GB --amp --gpus 4
    >>> python tools/analysis/plan_memory.py CONFIG --gpu 24GB --amp --search
    >>> python tools/analysis/plan_memory.py CONFIG --gpu a100-40 --gpus 64
"""

from __future__ import annotations

import argparse
import copy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from torch import Tensor

from mmswinv2.cli import launch, strategies
from mmswinv2.planning import loading, run_choice, run_data, run_report, search
from mmswinv2.planning.config_plan import read_memory, read_plan
from mmswinv2.planning.gpus import GPU, GPUS, read_gpu
from mmswinv2.planning.memory_plan import (
    SHARE,
    Memory,
    Plan,
    cheapest,
    cost,
    switches,
)
from mmswinv2.planning.memory_report import breakdown, describe, gib, stage_table
from mmswinv2.planning.training_batch import make_batch


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
    needed = gib(memory.total(best))
    lines = [
        f"The fastest that fits ({needed} GiB, instead of {gib(memory.total(plan))}):"
        if fits
        else f"The cheapest switches that make it fit ({needed} GiB):",
        "",
        command(plan, best, config),
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


def command(plan: Plan, other: Plan, config: str) -> str:
    """What trains a config as another plan has it."""
    flags, options = switches(plan, other)
    arguments = [*flags, *(["--cfg-options"] if options else []), *options]
    return " \\\n    ".join([f"python tools/train.py {config}", *arguments])


def print_search(
    console: Console, memory: Memory, plan: Plan, budget: float, config: str
) -> None:
    """Windows and batches side by side, and the best of them as a command."""
    rows = search.search(memory, plan, budget)
    chosen = search.best(rows)
    console.print(search.search_table(rows, chosen))
    if chosen is None:
        print("None fits: take smaller images, a smaller arch, --amp or more GPUs.")
        return
    print(
        f"The largest window, then batch, that fits {gib(budget)} GiB and takes up to "
        f"{search.PATIENCE:g} times the time:\nw{chosen.window}, batch "
        f"{chosen.plan.training.batch} ({gib(chosen.size)} GiB, {chosen.time:.2f} "
        "times)\n\n"
        f"{command(plan, chosen.plan, config)}"
    )


def print_run(
    console: Console,
    cfg: Config,
    memory: Memory,
    plan: Plan,
    gpu: GPU,
    batch: int,
    args: argparse.Namespace,
) -> None:
    """Time of a step and of the whole run, with the strategies side by side."""
    choices = run_choice.choose(memory, plan, gpu, batch)
    best = run_choice.fastest(choices)
    print()
    console.print(run_report.strategy_table(choices, best))
    if best is None:
        print(f"No strategy fits {plan.gpus} {gpu.label}: take more, or smaller images")
        return
    known = run_data.data_set(cfg)
    images = plan.training.batch
    pictures = run_data.run_pictures(cfg, batch, args.pictures)
    lines = run_report.run_lines(
        memory, best, gpu, images, batch=batch, pictures=pictures, known=known
    )
    print("\n".join(lines))
    if args.measure_loading:
        seconds = loading.seconds_per_picture(cfg)
        workers = cfg.train_dataloader.get("num_workers", 0)
        name = loading.processor()
        print(run_report.loading_line(best.rate, plan.gpus, seconds, name, workers))
    print(run_report.ASSUMED)


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
    parser.add_argument(
        "--gpu", default="80GB", help="its memory or name (default: 80GB)"
    )
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
        nargs="+",
        metavar="PX",
        help="height and width, of clips frames, height and width (default: the "
        "largest of the training pipeline)",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="train three steps on this machine's GPU and compare",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="a table over windows and batches, and the best that fits",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        help="pictures of the training set (default: those of a published set)",
    )
    parser.add_argument(
        "--measure-loading",
        action="store_true",
        help="how long one thread of this machine takes to load a picture",
    )
    launch.add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Runs the command."""
    with launch.Preparation():
        args = parse_args()
        gpu, device = read_gpu(args.gpu)
        if args.gpus is not None and args.gpus < 1:
            raise ValueError(f"--gpus {args.gpus}: expected 1 or more")
        if device is None and (args.pictures or args.measure_loading):
            raise ValueError(
                f"--gpu {args.gpu}: time is reckoned for a GPU that is known, one of "
                f"{', '.join(GPUS)}"
            )
        if args.pictures is not None and args.pictures < 1:
            raise ValueError(f"--pictures {args.pictures}: expected 1 or more")
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
        batch = run_data.step_pictures(cfg, plan.gpus)
        memory = read_memory(cfg, model, plan.training)
        console = Console(width=100, highlight=False)
        console.print(describe(plan, args.config))
        if args.search:
            flags = [f"--strategy {name}" for name in args.strategy]
            name = " ".join([args.config, *["--amp"] * args.amp, *flags])
            print_search(console, memory, plan, SHARE * gpu, name)
            return
        console.print(stage_table(plan))
        console.print(breakdown(memory, plan, SHARE * gpu, gpu))
        for line in suggest(memory, plan, SHARE * gpu, args.config):
            print(line)
        if device:
            print_run(console, cfg, memory, plan, device, batch, args)
        if args.measure:
            peak, predicted = measure(cfg, plan), memory.total(plan)
            print(f"measured {gib(peak)} GiB, predicted {predicted / peak:.2f} of it")


if __name__ == "__main__":
    main()
