"""Hooks of ours that every run has, whatever its config says."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.hooks import CheckpointHook

PLAIN = ("CheckpointHook", "mmengine.CheckpointHook", CheckpointHook)
OTHERS = dict(
    repeatable="mmswinv2.RepeatableHook", non_finite="mmswinv2.NonFiniteLossHook"
)


def add(cfg: Config) -> None:
    """Puts our ``CheckpointHook`` in the place of mmengine's, and adds the others.

    Args:
        cfg (Config): Changed in place. A hook of the user's own stays, and None in
            the place of one: without it.
    """
    hooks = dict(cfg.get("default_hooks") or {})
    checkpoint = hooks.get("checkpoint", dict(type="CheckpointHook", interval=1))
    if isinstance(checkpoint, dict) and checkpoint.get("type") in PLAIN:
        hooks["checkpoint"] = dict(checkpoint, type="mmswinv2.CheckpointHook")
    given = cfg.get("custom_hooks") or ()
    custom = [hook.get("type") for hook in given if isinstance(hook, dict)]
    for name, kind in OTHERS.items():
        if kind not in custom:
            hooks.setdefault(name, dict(type=kind))
        if hooks.get(name, kind) is None:  # mmengine knows None for its own hooks only
            del hooks[name]
    cfg.default_hooks = hooks
