"""What a run prints before its first iteration: a page, and nothing misleading.

The log file keeps everything; the console leaves out what the hosts print there by the
hundred lines, and notes of theirs that mean nothing in a run of ours. Each is named by
its text, so that whatever is new or matters is seen.
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn

import mmswinv2
from mmswinv2.apis import is_of_videos
from mmswinv2.config_types import HOSTS

# Records that the log file alone gets.
ONLY_IN_FILE = (
    r"\n-+\nSystem environment:",
    r"Config:\n",  # work_dir has it too, as a file
    r"Hooks will be executed in the following order:",
    r"layer  lr factor",
    r"Distributed training is not used, all SyncBatchNorm",  # as it should be
    r"Because batch augmentations are enabled",  # labels have one score per class
    r"The prefix is not set in metric class IoUMetric",
    r'Failed to search registry with scope "mm(det|seg)" in the "function" registry',
    r'"FileClient" will be deprecated|"HardDiskBackend" is the alias',  # mmengine's own
)
# Lines that the hosts print.
UNPRINTED = (
    r"Could not import OneDL",  # a vendor's data format
    r"loading annotations into memory|Done \(t=|creating index|index created",
    r"Loading and preparing results|DONE \(t=",
    r"Loads checkpoint by \w+ backend",  # the log says what was loaded
)
# Warnings of the hosts on how they call themselves, or on their own defaults.
UNWARNED = (
    r"faster_coco_eval is not installed",  # CocoMetric computes with pycocotools
    r"`reduce_zero_label` will be deprecated",  # though nobody has set it
    r"Default ``avg_non_ignore`` is False",
    r"``build_(loss|pixel_sampler)`` would be deprecated soon",
    r"The shape of value will convert from",  # a map gets its channel
    r"The draw is False, it means that the hook for visualization",  # --show-dir
    r"Corrupt EXIF data",  # Pillow's; the picture is read without them
)


def hide_noise() -> None:
    """Keeps prints and warnings of the hosts from the console that mean nothing."""
    for message in UNWARNED:
        warnings.filterwarnings("ignore", message=message)
    for name in ("mmengine.logging.logger", "pycocotools.coco"):
        with contextlib.suppress(ImportError):
            setattr(import_module(name), "print", _print)  # noqa: B010  (that file's)


def _print(*values: Any, **options: Any) -> None:
    if not re.match("|".join(UNPRINTED), str(values[0]) if values else ""):
        builtins.print(*values, **options)


def _is_for_console(record: logging.LogRecord) -> bool:
    return not re.match("|".join(ONLY_IN_FILE), record.getMessage())


def _end_with_the_disk(record: logging.LogRecord) -> None:
    """Raises what a log file met; logging prints a traceback for every line of it."""
    raise  # what is being handled where this is called


@contextlib.contextmanager
def short_console() -> Iterator[None]:
    """While it lasts, loggers that are made keep ``ONLY_IN_FILE`` from the console.

    A runner makes its logger and writes these records at once, so that the filter has
    to be there from the start.
    """
    original = MMLogger.__init__

    def init(logger: MMLogger, *args: Any, **kwargs: Any) -> None:
        original(logger, *args, **kwargs)
        for handler in logger.handlers:
            if getattr(handler, "stream", None) in (sys.stdout, sys.stderr):
                handler.addFilter(_is_for_console)
            elif isinstance(handler, logging.FileHandler):
                # of this handler alone
                handler.handleError = _end_with_the_disk  # type: ignore[method-assign]

    MMLogger.__init__ = init
    try:
        yield
    finally:
        MMLogger.__init__ = original


class Summary(Hook):
    """Says on one page what is run; warns of settings that cannot be meant.

    Args:
        cfg (Config): The config of the run.
    """

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg

    def before_run(self, runner: Runner) -> None:
        """Model, data and optimizer are there."""
        rows = [
            ("config", self.cfg.filename),
            ("log", f"{_log_file(runner)}; all settings: {_dumped(runner)}"),
            ("device", _device(runner)),
            ("versions", _versions()),
            ("model", _parameters(runner.model)),
        ]
        for split in ("train", "val", "test"):
            loop = getattr(runner, f"_{split}_loop", None)
            if isinstance(loop, BaseLoop):
                rows.append((split, _describe(runner, loop)))
        lines = [f"  {name:<9} {text}" for name, text in rows]
        runner.logger.info("\n".join(["This run:", *lines]))
        if isinstance(getattr(runner, "_train_loop", None), BaseLoop):
            warn_of_decay(runner)


def _log_file(runner: Runner) -> str:
    folder = Path(runner.work_dir) / runner.timestamp
    return f"{folder}/{runner.timestamp}.log"


def _dumped(runner: Runner) -> Path:
    name = Path(runner.cfg.filename).name if runner.cfg.filename else "config"
    return Path(runner.work_dir) / name


def _device(runner: Runner) -> str:
    device = get_device()
    if device == "cuda":
        device = torch.cuda.get_device_name()
    elif device == "cpu":
        threads = torch.get_num_threads()
        device = f"CPU, {threads} {'thread' if threads == 1 else 'threads'}"
    many = runner.world_size
    return device if many == 1 else f"{device}, {many} processes"


def _versions() -> str:
    names = ["torch", "mmengine", "mmcv", *HOSTS]
    loaded = [name for name in names if name in sys.modules]
    found = [f"{name} {sys.modules[name].__version__}" for name in loaded]
    python = platform.python_version()
    return ", ".join([f"mmswinv2 {mmswinv2.__version__}", f"Python {python}", *found])


def _parameters(model: nn.Module) -> str:
    bare = getattr(model, "module", model)
    sizes = [(p.numel(), p.requires_grad) for p in bare.parameters()]
    total = sum(size for size, _ in sizes) / 1e6
    frozen = sum(size for size, trained in sizes if not trained) / 1e6
    backbone = type(getattr(bare, "backbone", bare)).__name__
    name = type(bare).__name__
    return f"{name} with {backbone}, {total:.1f} M parameters, {frozen:.1f} M frozen"


def _describe(runner: Runner, loop: BaseLoop) -> str:
    loader = loop.dataloader
    count = len(loader.dataset)
    kind = "video" if is_of_videos(runner.cfg) else "picture"
    text = f"{count} {kind}" + "s" * (count != 1)
    if loop is not runner._train_loop:
        return text
    batch = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
    text += f" in batches of {batch}" if batch else ""
    if isinstance(loop, EpochBasedTrainLoop):
        text += f"; {loop.max_epochs} epochs of {len(loader)} iterations"
        unit = "epochs"
    else:
        text += f"; {loop.max_iters} iterations"
        unit = "iterations"
    if isinstance(getattr(runner, "_val_loop", None), BaseLoop):
        text += f", evaluated every {loop.val_interval} {unit}"
    return text


def warn_of_decay(runner: Runner) -> None:
    """Warns where the meta-network or the scales of attention have weight decay.

    The official code has none on them. A ``paramwise_cfg`` from Swin V1 does not know
    their names.
    """
    groups = getattr(runner.optim_wrapper, "param_groups", None)
    if not isinstance(groups, list):  # several optimizers, in a dict
        return
    decayed = {
        id(parameter)
        for group in groups
        if group.get("weight_decay")
        for parameter in group["params"]
    }
    names = [
        name
        for name, parameter in runner.model.named_parameters()
        if ("cpb_mlp" in name or "logit_scale" in name) and id(parameter) in decayed
    ]
    if names:
        runner.logger.warning(
            f"{len(names)} tensors of Swin V2's position bias and logit scales have "
            f"weight decay, such as {names[0]}: the official code has none on them, "
            "and Swin V1's paramwise_cfg does not name them. Write in the config\n"
            "  optim_wrapper = dict(\n"
            '      constructor="mmswinv2.LayerDecayOptimWrapperConstructor", '
            "paramwise_cfg=dict(_delete_=True)\n  )\n"
            "or add to paramwise_cfg.custom_keys\n"
            "  cpb_mlp=dict(decay_mult=0.0), logit_scale=dict(decay_mult=0.0)"
        )
