"""How several GPUs share a model that one cannot train: configs/_base_/strategies."""

from __future__ import annotations

import importlib.util

from mmengine.config import Config

from mmswinv2.places import CONFIG_DIR

from . import devices

NAMES = sorted(p.stem for p in CONFIG_DIR.glob("_base_/strategies/*.py"))


def apply(cfg: Config, names: list[str]) -> None:
    """Merges what ``--strategy`` names into the config of a run.

    Args:
        cfg (Config): The config, changed in place.
        names (list[str]): All that were given; one or none is right.
    """
    given = [f"--strategy {name}" for name in names]
    if cfg.get("strategy"):
        given.insert(0, f"strategy={cfg.strategy.type} in the config")
    if cfg.optim_wrapper.get("optimizer", {}).get("type") == "ZeroRedundancyOptimizer":
        given.insert(0, "optimizer.type=ZeroRedundancyOptimizer in the config")
    if len(given) > 1:
        raise ValueError(f"a run has one strategy, but got {' and '.join(given)}")
    if not names:
        return
    cfg.merge_from_dict(
        Config.fromfile(CONFIG_DIR / f"_base_/strategies/{names[0]}.py").to_dict()
    )
    clip_grad = cfg.optim_wrapper.get("clip_grad")
    if is_deepspeed(cfg) and clip_grad:
        if clip_grad.get("norm_type", 2) != 2:
            raise ValueError(
                f"DeepSpeed clips by the 2-norm, but clip_grad={clip_grad}"
            )
        cfg.strategy.gradient_clipping = clip_grad.max_norm
        del cfg.optim_wrapper["clip_grad"]


def check(cfg: Config) -> None:
    """Raises where a run cannot have the strategy of its config."""
    if not cfg.get("strategy"):
        return
    kind = cfg.strategy.type
    if cfg.launcher == "none":
        raise ValueError(
            f"{kind} shares a model among several GPUs: start one process per GPU with "
            "tools/dist_train.sh or tools/slurm_train.sh CONFIG ..."
        )
    if is_deepspeed(cfg) and not _has_deepspeed():
        raise ValueError(
            "DeepSpeedStrategy needs a deepspeed that has what mmengine imports: pip "
            "install deepspeed==0.16.9 (0.19.8 has it no more); without it, there are "
            "--strategy zero1 and --strategy fsdp"
        )
    if "FSDP" in kind and any(map(_averages, cfg.get("custom_hooks") or ())):
        raise ValueError(
            f"EMAHook copies a whole model, and {kind} has none in one place; take the "
            "hook out of custom_hooks, or use --strategy zero1"
        )
    amp = cfg.optim_wrapper.get("type") in (devices.AMP, devices.BF16)
    if amp and cfg.strategy.get("backbone_dtype"):
        raise ValueError(
            f"--amp and backbone_dtype={cfg.strategy.backbone_dtype!r} of {kind} are "
            "two precisions for one backbone; leave --amp out, or add --cfg-options "
            "strategy.backbone_dtype=None"
        )


def _averages(hook: dict) -> bool:
    kind = hook.get("type")
    return getattr(kind, "__name__", str(kind)).endswith("EMAHook")


def is_deepspeed(cfg: Config) -> bool:
    """Whether a run writes and resumes folders that DeepSpeed alone can read."""
    return (cfg.get("strategy") or {}).get("type") == "DeepSpeedStrategy"


def drop(cfg: Config) -> None:
    """Takes the strategy out of a config: a test has nothing to share out."""
    for key in ("runner_type", "strategy"):
        cfg.pop(key, None)


def _has_deepspeed() -> bool:
    try:
        return importlib.util.find_spec("deepspeed.runtime.fp16.onebit") is not None
    except ModuleNotFoundError:
        return False
