"""mmengine's pure-Python configs, made of classic ones."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import mmcv.ops
from mmengine.config import Config
from mmengine.registry import Registry, root

from mmswinv2.apis import find_config

BASE_AND_OWN = """\
from mmengine.config import read_base

with read_base():
    from .base_{stem} import *

train_dataloader.update(num_workers=0)
"""


def write_lazy(name: str, folder: Path) -> Path:
    """A file that reads, by ``read_base``, all of a config with classes as types."""
    cfg = Config.fromfile(find_config(name))
    scope, cfg.default_scope = cfg.default_scope, None  # as the hosts write them
    import_module(f"{scope}.registry")
    imports = {}

    def as_class(match: re.Match) -> str:
        kind = _registered(match[2], scope)
        alias = f"{kind.__name__}_{len(imports)}"
        line = f"from {kind.__module__} import {kind.__name__} as "
        return match[1] + imports.setdefault(line, alias)

    text = re.sub(r"(\btype=)'([\w.]+)'", as_class, cfg.pretty_text)
    stem = re.sub(r"\W", "_", name)
    lines = (line + alias for line, alias in imports.items())
    (folder / f"base_{stem}.py").write_text("\n".join([*lines, "", text]))
    path = folder / f"lazy_{stem}.py"
    path.write_text(BASE_AND_OWN.format(stem=stem))
    return path


def _registered(name: str, scope: str) -> type:
    for top in vars(root).values():
        if isinstance(top, Registry):
            registry = top.children.get(scope, top)
            registry.import_from_location()
            if registry.get(name) is not None:
                return registry.get(name)
    return getattr(mmcv.ops, name)
