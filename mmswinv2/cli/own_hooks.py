"""Hooks of ours that every run has, whatever its config says."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.hooks import CheckpointHook

PLAIN = ("CheckpointHook", "mmengine.CheckpointHook", CheckpointHook)
NON_FINITE = "mmswinv2.NonFiniteLossHook"


def add(cfg: Config) -> None:
    """Puts our ``CheckpointHook`` in the place of mmengine's, and adds the others.

    Args:
        cfg (Config): Changed in place. A hook of the user's own stays, and None: no
            checkpoints.
    """
    hooks = dict(cfg.get("default_hooks") or {})
    checkpoint = hooks.get("checkpoint", dict(type="CheckpointHook", interval=1))
    if isinstance(checkpoint, dict) and checkpoint.get("type") in PLAIN:
        hooks["checkpoint"] = dict(checkpoint, type="mmswinv2.CheckpointHook")
    custom = cfg.get("custom_hooks") or ()
    if not any(hook.get("type") == NON_FINITE for hook in custom):
        hooks.setdefault("non_finite", dict(type=NON_FINITE))
    cfg.default_hooks = hooks
