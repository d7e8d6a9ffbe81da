"""Trains a detector, segmentor or classifier, or pre-trains a backbone.

Examples:
    >>> python tools/train.py configs/coco/mask-rcnn_swinv2-t-p4-w8_fpn_1x_coco.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmengine.config import Config

from mmswinv2.cli import devices, launch, preflight, resuming, strategies
from mmswinv2.cli.interruption import Interruption
from mmswinv2.cli.work_dir_lock import WorkDirLock


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Train a model.")
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument(
        "--amp", action="store_true", help="mixed precision; bf16 on a CPU"
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate to the batch size really used",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint, or from the newest whole one in the work dir",
    )
    parser.add_argument(
        "--strategy",
        choices=strategies.NAMES,
        action="append",
        default=[],
        help="share parameters or optimizer state among the GPUs of a distributed run",
    )
    launch.add_arguments(parser)
    return parser.parse_args()


def apply_flags(cfg: Config, args: argparse.Namespace) -> None:
    """Writes what the command line asks for into the config."""
    strategies.apply(cfg, args.strategy)
    if args.amp:
        devices.use_mixed_precision(cfg)
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            raise ValueError(
                "--auto-scale-lr needs auto_scale_lr.base_batch_size in the config"
            )
        cfg.auto_scale_lr.enable = True
    resuming.choose(cfg, args.resume)


def main() -> None:
    """Trains, after everything was looked at that can be wrong."""
    with launch.Preparation() as preparation:
        args = parse_args()
        cfg = launch.load_config(args)
        needed = ("model", "train_dataloader", "train_cfg", "optim_wrapper")
        if missing := [key for key in needed if not cfg.get(key)]:
            raise ValueError(
                f"{args.config} has no {', '.join(missing)}: write it, or take it from "
                "a file of configs/_base_/"
            )
        apply_flags(cfg, args)
        strategies.check(cfg)
        if launch.is_first_process():
            preflight.check_data(cfg, "train", "val")
            preflight.check_model(cfg)
        # Processes of srun without --launcher are runs of their own
        locks = cfg.launcher == "none" or launch.is_first_process(of_all=True)
        lock = WorkDirLock(cfg.work_dir, active=locks)
        with lock, Interruption() as interruption:
            runner = launch.build_runner(cfg, preparation)
            resuming.report(cfg, runner)
            interruption.train(runner)


if __name__ == "__main__":
    main()
