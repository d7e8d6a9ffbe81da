"""The state of a training run in a checkpoint, looked at before a run takes it over."""

from __future__ import annotations

from typing import Any

from mmswinv2.checkpoints import read_checkpoint
from mmswinv2.checkpoints.urls import shown

_CURE = "start from its weights with --cfg-options load_from=FILE"
_KINDS = {
    "meta.epoch": int,
    "meta.iter": int,
    "message_hub": dict,
    "message_hub.log_scalars": dict,
    "message_hub.runtime_info": dict,
    "message_hub.resumed_keys": dict,
    "optimizer": dict,
}


def check_training_state(path: str) -> None:
    """Raises ValueError unless a run can go on from a checkpoint.

    Args:
        path (str): Of the checkpoint, whose tensors are checked by reading it.
    """
    checkpoint = read_checkpoint(path)
    path = shown(path)
    if not {"optimizer", "message_hub", "meta"} <= checkpoint.keys():
        raise ValueError(
            f"{path} holds weights but no state of a training run, so --resume cannot "
            f"go on from it; {_CURE}"
        )
    if "config" in checkpoint["meta"]:
        raise ValueError(
            f"{path} has a config in meta.config, which mmengine would run as code "
            f"when it resumes; {_CURE}"
        )
    for place, kind in _KINDS.items():
        value: Any = checkpoint
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        _check(value, kind, place, path)
    optimizer = checkpoint["optimizer"]
    single = "param_groups" in optimizer or "state" in optimizer
    for name, one in {"optimizer": optimizer}.items() if single else optimizer.items():
        _check_optimizer(one, name if single else f"optimizer.{name}", path)
    schedulers = checkpoint.get("param_schedulers") or []
    for name, several in (
        schedulers.items() if isinstance(schedulers, dict) else (("", schedulers),)
    ):
        place = f"param_schedulers.{name}".rstrip(".")
        _check(several, list, place, path)
        for number, one in enumerate(several):
            _check(one, dict, f"{place}.{number}", path)


def _check_optimizer(optimizer: Any, place: str, path: str) -> None:
    _check(optimizer, dict, place, path)
    groups, states = optimizer.get("param_groups"), optimizer.get("state")
    _check(groups, list, f"{place}.param_groups", path)
    _check(states, dict, f"{place}.state", path)
    numbers: list[int] = []
    for index, group in enumerate(groups):
        _check(group, dict, f"{place}.param_groups.{index}", path)
        params = group.get("params")
        _check(params, list, f"{place}.param_groups.{index}.params", path)
        for number in params:
            kind = str if isinstance(number, str) else int  # names are of FSDP
            _check(number, kind, f"{place}.param_groups.{index}.params", path)
        numbers += params
    if len(numbers) != len({*numbers}) or not states.keys() <= {*numbers}:
        raise ValueError(
            f"{path} has states of other parameters in {place}.state than "
            f"{place}.param_groups names; {_CURE}"
        )
    for number, state in states.items():
        _check(state, dict, f"{place}.state.{number}", path)


def _check(value: Any, kind: type, place: str, path: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(
            f"{path} has a {type(value).__name__} in {place}, where a training run has "
            f"a {kind.__name__}; {_CURE}"
        )
