"""Names in place of the classes that mmengine's pure-Python configs have as types.

The hosts and our commands know types by name, and several compare them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry, root

from . import config_bases  # noqa: F401  (mmswinv2:: in _base_)
from .mmpretrain_import import protect_hosts

HOSTS = ("mmdet", "mmseg", "mmpretrain")


def read_config(path: str | Path) -> Config:
    """A config file of either kind, its types as names."""
    protect_hosts()
    return name_types(Config.fromfile(path))


def name_types(cfg: Config) -> Config:
    """A config whose classes and functions are the names that they are registered by.

    Args:
        cfg (Config): With types as names, classes or both.

    Returns:
        Config: The same object where there are names only. Otherwise a new one, whose
        ``default_scope``, if it has none, is that of its model: names need one.
    """
    values = {key: cfg[key] for key in cfg.to_dict()}  # without what it imports
    if not any(map(_has_classes, values.values())):
        return cfg
    if values.get("default_scope") is None and "model" in values:
        module = getattr(values["model"]["type"], "__module__", "")
        values["default_scope"] = next(filter(module.startswith, HOSTS), None)
    scope = values.get("default_scope") or "mmengine"
    return Config(_named(values, scope), filename=cfg.filename)


def _has_classes(node: Any) -> bool:
    if isinstance(node, dict):
        return any(map(_has_classes, node.values()))
    if isinstance(node, (list, tuple)):
        return any(map(_has_classes, node))
    return _is_type(node)


def _is_type(node: Any) -> bool:
    return inspect.isclass(node) or inspect.isroutine(node)


def _named(node: Any, scope: str) -> Any:
    if isinstance(node, dict):
        return {key: _named(value, scope) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_named(value, scope) for value in node)
    return _name(node, scope) if _is_type(node) else node


def _name(kind: type, scope: str) -> str:
    """Name in a registry, with its scope where that is needed, else its import path."""
    for top in vars(root).values():
        for registry in _family(top) if isinstance(top, Registry) else ():
            for name, registered in registry.module_dict.items():
                if registered is kind:
                    here = top.children.get(scope, top)
                    short = here.get(name) is kind
                    return name if short else f"{registry.scope}.{name}"
    name = kind.__qualname__
    if getattr(sys.modules.get("mmcv.ops"), name, None) is kind:
        return name  # MMDetection looks for some layers there
    return f"{kind.__module__}.{name}"


def _family(registry: Registry) -> Iterator[Registry]:
    yield registry
    for child in registry.children.values():
        yield from _family(child)
