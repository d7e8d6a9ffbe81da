"""Models that can be chosen: those that runs have left in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmengine.config import Config

from mmswinv2.apis import is_of_videos
from mmswinv2.checkpoints.newest import find_checkpoints
from mmswinv2.config_types import read_config

BEST = "best_*.pth"  # of mmengine's save_best


@dataclass(frozen=True)
class Choice:
    """A model by its files.

    Attributes:
        name (str): For people.
        config (str): File, or one of :func:`list_models`.
        weights (str, optional): File, URL or name; None: those that are published, or
            the config's.
    """

    name: str
    config: str
    weights: str | None


def find_choices(root: str | Path) -> list[Choice]:
    """Runs below a folder whose models take pictures, each with its checkpoint.

    That is the best one where the run has kept it, else the newest. The config is the
    one that the run has dumped beside it.

    Args:
        root (str | Path): Such as 'work_dirs'; it may be missing.

    Returns:
        list[Choice]: By name.
    """
    root = Path(root)
    folders = sorted({path.parent for path in root.rglob("*.pth")})
    return [choice for folder in folders for choice in _of_run(root, folder)]


def _of_run(root: Path, folder: Path) -> Iterator[Choice]:
    configs = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    best = sorted(folder.glob(BEST), key=lambda path: path.stat().st_mtime)
    saved = best[::-1] or [
        path for path in find_checkpoints([folder]) if path.is_file()
    ]
    if not configs or not saved:
        return
    if _takes_pictures(configs[-1], configs[-1].stat().st_mtime):
        run = folder.name if folder == root else folder.relative_to(root)
        yield Choice(f"{run}: {saved[0].stem}", str(configs[-1]), str(saved[0]))


@cache
def _takes_pictures(path: Path, changed: float) -> bool:
    try:
        cfg = read_config(path)
    except Exception:  # whatever the code in it raises: it is none to choose
        return False
    return predicts_pictures(cfg)


def predicts_pictures(cfg: Config) -> bool:
    """Whether a config's model finds, segments or names what is in pictures."""
    scope, model = cfg.get("default_scope"), cfg.get("model") or {}
    names = str(model.get("type", "")).endswith("Classifier")
    return scope in ("mmdet", "mmseg") or (
        scope == "mmpretrain" and names and not is_of_videos(cfg)
    )
