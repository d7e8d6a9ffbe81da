"""What configs made for NVIDIA's GPUs need on another device."""

from __future__ import annotations

import logging
from unittest.mock import patch

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from mmengine.logging import print_log

AMP, BF16 = "AmpOptimWrapper", "mmswinv2.Bf16OptimWrapper"
WITH_AMP = ("cuda", "npu", "mlu", "musa")  # that mmengine's wrapper runs on


def use_mixed_precision(cfg: Config) -> None:
    """Lets a run train in mixed precision: in bf16 where mmengine has no other.

    Raises:
        ValueError: The optimizer's wrapper is another one already.
    """
    kind = cfg.optim_wrapper.get("type", "OptimWrapper")
    if kind not in ("OptimWrapper", AMP, BF16):
        raise ValueError(f"--amp replaces OptimWrapper, but the config has {kind}")
    cfg.optim_wrapper.type = AMP
    fit_mixed_precision(cfg)
    if cfg.optim_wrapper.type == AMP:
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def fit_mixed_precision(cfg: Config) -> None:
    """Takes bf16 in place of mmengine's mixed precision on a device that it refuses."""
    wrapper = cfg.get("optim_wrapper") or {}
    if wrapper.get("type") == AMP and get_device() not in WITH_AMP:
        for key in ("loss_scale", "dtype", "use_fsdp"):
            wrapper.pop(key, None)
        wrapper["type"] = BF16


def join_processes(cfg: Config) -> None:
    """Connects the processes of ``--launcher`` on machines without accelerators.

    mmengine asks for a GPU per process; here they talk over gloo.
    """
    if cfg.launcher == "none" or get_device() != "cpu" or is_distributed():
        return
    options = dict(cfg.get("env_cfg", {}).get("dist_cfg", {}), backend="gloo")
    with patch("torch.cuda.set_device"), patch("torch.cuda.device_count", lambda: 1):
        init_dist(cfg.launcher, **options)
    if not cfg.get("strategy"):
        given = cfg.get("model_wrapper_cfg") or dict(
            type="MMDistributedDataParallel",
            broadcast_buffers=False,
            find_unused_parameters=cfg.get("find_unused_parameters", False),
        )
        cfg.model_wrapper_cfg = dict(given, device_ids=None)
    replaced = _without_sync_bn(cfg.model)
    print_log(
        f"--launcher {cfg.launcher}: there is no GPU, so the processes run on the CPU "
        "and talk over gloo"
        + (f"; {replaced} SyncBN of the model became BN" if replaced else ""),
        logger="current",
        level=logging.WARNING,
    )


def _without_sync_bn(node: object) -> int:
    """Makes SyncBN, which only GPUs have, BN, in place; returns how often."""
    if isinstance(node, (list, tuple)):
        return sum(map(_without_sync_bn, node))
    if not isinstance(node, dict):
        return 0
    found = sum(map(_without_sync_bn, node.values()))
    if node.get("type") == "SyncBN":
        node["type"] = "BN"
        return found + 1
    return found
