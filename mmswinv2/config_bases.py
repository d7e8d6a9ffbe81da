"""``_base_ = "mmswinv2::coco/NAME.py"``, as mmengine knows it from its own hosts.

mmengine's list of packages with configs is closed, so that importing this module adds
ours to it. Without that import, mmengine refuses such a base: give its path instead.
"""

from __future__ import annotations

import difflib

from mmengine.config import Config

from .places import CONFIG_DIR

SCHEME = "mmswinv2::"

_others = Config._get_cfg_path


def find_base(base: str, filename: str) -> tuple[str, str | None]:
    """Path of a base, and its scope, which is that of the config itself where None.

    Args:
        base (str): What a config has in its ``_base_``.
        filename (str): The config.

    Raises:
        FileNotFoundError: If no config of this package has that name.
    """
    if not base.startswith(SCHEME):
        return _others(base, filename)
    path = CONFIG_DIR / base.removeprefix(SCHEME)
    if path.is_file():
        return str(path), None
    names = [p.relative_to(CONFIG_DIR).as_posix() for p in CONFIG_DIR.rglob("*.py")]
    close = difflib.get_close_matches(base.removeprefix(SCHEME), names, n=3)
    hint = (
        f"; close to it: {', '.join(SCHEME + name for name in close)}" if close else ""
    )
    raise FileNotFoundError(
        f"{filename} has the base {base!r}, and there is no {path}{hint}"
    )


Config._get_cfg_path = staticmethod(find_base)
