"""Folders of videos: what is in them, and whether it can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mmswinv2.pictures import VIDEO_SUFFIXES

from .reading import VideoReader

CHUNK = 8  # videos that a process is given at once


class Surveyed(NamedTuple):
    """What is known of a video that was opened."""

    path: str
    frames: int = 0
    rate: float = 0.0  # frames a second, on average
    width: int = 0  # px, upright
    height: int = 0
    fault: str = ""  # why it cannot be read

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.frames / self.rate if self.rate else 0.0


def find_videos(folder: str | Path) -> list[str]:
    """Paths of videos under a folder, by their suffixes, sorted, relative to it."""
    found = []
    for inside, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.relpath(os.path.join(inside, name), folder)
            for name in files
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")
        ]
    return sorted(found)


def survey(
    folder: str | Path, names: Sequence[str], *, workers: int, full: bool = False
) -> Iterator[Surveyed]:
    """Opens videos, in their order.

    Args:
        folder (str | Path): That names are relative to.
        names (Sequence[str]): Of videos.
        workers (int): Processes that open them; with 1, this one does.
        full (bool): Whether to decode all frames instead of the first and the last.
            Defaults to False.

    Yields:
        Surveyed: What is known of each.
    """
    look = partial(_survey_one, str(folder), full)
    if workers == 1:
        yield from map(look, names)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(look, names, chunksize=CHUNK)


def _survey_one(folder: str, full: bool, name: str) -> Surveyed:
    path = os.path.join(folder, name)
    try:
        video = VideoReader(path)
        ends = video.read([0, len(video) - 1])
        if full:
            video.verify()
    except (ValueError, FileNotFoundError) as error:
        return Surveyed(name, fault=str(error).removeprefix(path).strip())
    return Surveyed(name, len(video), video.rate, ends.shape[2], ends.shape[1])
