"""What a resumed run takes from its checkpoint where the config says something else."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.checkpoints.newest import checkpoint_places, newest_checkpoint
from mmswinv2.checkpoints.saved_config import read_saved_config
from mmswinv2.checkpoints.urls import shown

from . import strategies


def choose(cfg: Config, given: str | None) -> None:
    """Writes into a config what its run goes on from, if it does.

    Args:
        cfg (Config): Changed in place.
        given (str, optional): A checkpoint; 'auto' for the newest whole one in the work
            dir, if any; None for what the config says.

    Raises:
        ValueError: If the checkpoint is damaged, or all are in the work dir.
        FileNotFoundError: If there is no such checkpoint.
    """
    given = given or (cfg.get("resume") and (cfg.get("load_from") or "auto"))
    if not given:
        return
    if given == "auto":
        hook = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
        names = ("out_dir", "filename_tmpl")
        places = checkpoint_places(cfg.work_dir, *map(hook.get, names))
        given = newest_checkpoint(*places)
    elif os.path.isfile(given):
        _check(given)
    cfg.resume = given is not None  # at a first start, load_from stays
    cfg.load_from = given or cfg.get("load_from")


def _check(path: str) -> None:
    """Raises for a damaged checkpoint; names one that is not, beside it."""
    try:
        read_checkpoint(path)
    except ValueError as error:
        other = None
        with suppress(ValueError, FileNotFoundError):
            other = newest_checkpoint([os.path.dirname(path) or "."], warn=False)
        if other is None:
            raise
        raise ValueError(
            f"{error}. The newest whole one beside it: --resume {other}"
        ) from error


def report(cfg: Config, runner: Runner) -> None:
    """Logs where a run that goes on will not follow its config, or is at its end."""
    if not cfg.get("resume") or strategies.is_deepspeed(cfg):
        return
    checkpoint, file = read_checkpoint(cfg.load_from), shown(cfg.load_from)
    for end, unit in (("max_epochs", "epoch"), ("max_iters", "iter")):
        last, reached = cfg.train_cfg.get(end), checkpoint["meta"].get(unit, 0)
        if last is not None and reached >= last:
            runner.logger.warning(
                f"{file} is of {unit} {reached}, and training ends at "
                f"train_cfg.{end}={last}: nothing is left to do"
            )
    if found := differences(cfg, checkpoint):
        runner.logger.warning(
            f"--resume goes on with {file}: {'; '.join(found)}. For the "
            "config's schedule, start from the weights: --cfg-options "
            f"load_from={file}, without --resume"
        )


def differences(cfg: Config, checkpoint: dict) -> list[str]:
    """What the config has that the run does not follow, and what it does follow.

    mmengine restores all attributes of learning rate schedules, such as their end and
    milestones, and the optimizer's parameter groups; the loop is the config's.

    Args:
        cfg (Config): Of the run that goes on.
        checkpoint (dict): What it goes on from.

    Returns:
        list[str]: One phrase each; none where the checkpoint has no config or the same.
    """
    old = read_saved_config(checkpoint)
    if old is None:
        return []
    found = []
    for name, saved, given in (
        ("param_scheduler", old.get("param_scheduler"), cfg.get("param_scheduler")),
        ("optimizer", _optimizer(old), _optimizer(cfg)),
    ):
        saved, given = _bare(saved), _bare(given)
        if saved != given:
            found.append(
                f"{name} is the checkpoint's, {saved}, and not the config's, {given}"
            )
    saved, given = _bare(old.get("train_cfg")), _bare(cfg.get("train_cfg"))
    if saved != given:
        found.append(f"train_cfg is the config's, {given}; it was {saved}")
    return found


def _optimizer(cfg: Config | dict) -> dict:
    wrapper = cfg.get("optim_wrapper") or {}
    return {key: wrapper.get(key) for key in ("optimizer", "paramwise_cfg")}


def _bare(node: Any) -> Any:
    """Settings without scopes of types and without the kinds of lists and dicts."""
    if isinstance(node, dict):
        bare = {key: _bare(value) for key, value in node.items()}
        if isinstance(bare.get("type"), str):
            bare["type"] = bare["type"].split(".")[-1]
        return bare
    return [*map(_bare, node)] if isinstance(node, (list, tuple)) else node
