"""The checkpoint that a run goes on from."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.logging import print_log

from .files import read_file, read_meta

PATTERNS = ("epoch_*.pth", "iter_*.pth")
LAST = "last_checkpoint"  # mmengine's file with the path of the last one
SAVED = "saved"  # in a checkpoint's meta: seconds since 1970


def checkpoint_places(
    work_dir: str, out_dir: str | Path | None = None, template: str | None = None
) -> tuple[list[str], list[str]]:
    """Folders and patterns of names of what ``CheckpointHook`` saves.

    Args:
        work_dir (str): Of the run.
        out_dir (str | Path, optional): The hook's. Defaults to None: the work dir.
        template (str, optional): The hook's ``filename_tmpl``. Defaults to mmengine's.

    Returns:
        tuple[list[str], list[str]]: Arguments of :func:`find_checkpoints`.
    """
    folders = [work_dir]
    if out_dir is not None:
        name = os.path.basename(work_dir.rstrip(os.sep))  # as mmengine does
        folders.append(os.path.join(out_dir, name))
    return folders, [*PATTERNS, *([template.replace("{}", "*")] if template else ())]


def find_checkpoints(
    folders: Sequence[str | Path], patterns: Sequence[str] = PATTERNS
) -> list[Path]:
    """Checkpoints of a run, whole or not, the newest first.

    The newest is the one that was saved last: copying changes times of files, and names
    count epochs in one file and iterations in the other.

    Args:
        folders (Sequence[str | Path]): The work dir, then others that the run saves in.
        patterns (Sequence[str]): Of their names. Defaults to mmengine's.

    Returns:
        list[Path]: Files, or folders of DeepSpeed.
    """
    found = {
        path.absolute()
        for folder in map(Path, folders)
        for pattern in patterns
        for path in folder.glob(pattern)
    }
    named = _named(Path(folders[0]))
    # a copy of a folder still names the file of the original, which may have gone on
    copied = os.path.basename(named) in {path.name for path in found}
    if named and os.path.exists(named) and not copied:
        found.add(Path(named).absolute())
    return sorted(found, key=_age, reverse=True)


def newest_checkpoint(
    folders: Sequence[str | Path],
    patterns: Sequence[str] = PATTERNS,
    *,
    warn: bool = True,
) -> str | None:
    """The newest whole checkpoint of a run.

    Args:
        folders (Sequence[str | Path]): The work dir, then others that the run saves in.
        patterns (Sequence[str]): Of their names. Defaults to mmengine's.
        warn (bool): Whether to tell of newer ones that are damaged and passed over.
            Defaults to True.

    Returns:
        str | None: None where the run has saved nothing yet.

    Raises:
        ValueError: If there are checkpoints, but none is whole.
        FileNotFoundError: If the work dir tells of one, but there is none.
    """
    named = _named(Path(folders[0]))
    if named and "://" in named:  # of a store that has no folder to look into
        return named
    paths = find_checkpoints(folders, patterns)
    damaged = []
    for path in paths:
        if error := _fault(path, named):
            damaged.append(error)
            continue
        if damaged and warn:
            print_log(
                f"{'; '.join(damaged)}. Goes on with {path}, which was saved before",
                "current",
                logging.WARNING,
            )
        return str(path)
    cure = "copy a whole one there, or take another work dir to start anew"
    if damaged:
        raise ValueError(f"no checkpoint is whole: {'; '.join(damaged)}; {cure}")
    if named:
        raise FileNotFoundError(
            f"{Path(folders[0]) / LAST} names {named}, which does not exist, and there "
            f"is no other checkpoint; {cure}"
        )
    return None


def _named(work_dir: Path) -> str:
    """What ``last_checkpoint`` names; '' where it is missing or empty."""
    try:
        return (work_dir / LAST).read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _age(path: Path) -> tuple[float, int]:
    meta = read_meta(path) if path.is_file() else {}
    iteration = meta.get("iter")
    return _saved(path, meta), iteration if isinstance(iteration, int) else 0


def _saved(path: Path, meta: dict) -> float:
    saved = meta.get(SAVED)
    if isinstance(saved, (int, float)):
        return saved
    try:
        return time.mktime(time.strptime(meta["time"], "%Y%m%d_%H%M%S"))  # mmengine's
    except (KeyError, TypeError, ValueError, OverflowError):
        return path.lstat().st_mtime  # of a link that leads nowhere too


def _fault(path: Path, named: str) -> str:
    """What makes a checkpoint useless, as a phrase; '' where it is whole."""
    if path.is_dir():
        finished = {Path(name).name for name in (named, *_latest(path.parent))}
        whole = path.name in finished and any(path.glob("*mp_rank_*"))
        return "" if whole else f"checkpoint {path} is a folder that is unfinished"
    try:
        checkpoint = read_file(path, str(path))
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    missing = sorted({"meta", "state_dict"} - checkpoint.keys())
    return f"checkpoint {path} has no {', '.join(missing)}" if missing else ""


def _latest(folder: Path) -> Iterator[str]:
    """The folder that DeepSpeed has finished last."""
    if (folder / "latest").is_file():
        yield (folder / "latest").read_text(errors="replace").strip()
