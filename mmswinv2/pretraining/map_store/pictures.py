"""Which pictures a store is of: their paths and sizes, in a text that is searched."""

from __future__ import annotations

import bisect
import hashlib
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmswinv2.pictures import IMAGE_SUFFIXES

SUFFIXES = IMAGE_SUFFIXES | {".ppm", ".pgm"}  # mmpretrain's data sets take these too
_BREAKS = re.compile(r"[\t\n\r]")  # of an index's lines


class Picture(NamedTuple):
    """A file of a data folder."""

    path: str  # relative to the folder, with /
    size: int  # bytes

    @property
    def key(self) -> bytes:
        """What pictures are sorted by."""
        return os.fsencode(self.path)


def find_pictures(folder: str | Path) -> list[Picture]:
    """Pictures under a folder by their suffixes, sorted; hidden ones are left out.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        ValueError: If a name has a tab or a line break.
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder} is no folder; expected one of pictures")
    found = []
    for inside, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        start = os.path.relpath(os.path.join(inside, "x"), folder)[:-1]
        start = start.replace(os.sep, "/")
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith(".") or suffix not in SUFFIXES:
                continue
            path = os.path.join(inside, name)
            if _BREAKS.search(start + name):
                raise ValueError(
                    f"{path!r} has a tab or a line break in its name; rename it"
                )
            found.append(Picture(start + name, _size(path)))
    if not found:
        raise FileNotFoundError(
            f"{folder} has no pictures in it ({' '.join(sorted(SUFFIXES))})"
        )
    return sorted(found, key=lambda picture: picture.key)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # a link to nothing; who reads it says so
        return 0


def fingerprint(pictures: Iterable[Picture]) -> str:
    """SHA-256 of the sorted paths and sizes, which tells data folders apart."""
    sha = hashlib.sha256()
    for picture in pictures:
        sha.update(b"%s\t%d\n" % (picture.key, picture.size))
    return sha.hexdigest()


class Index:
    """Rows by paths of pictures: lines ``path, row, bytes``, sorted by path.

    The file is searched where it lies in memory, so that the workers of a data loader
    share it and starting them copies nothing.

    Args:
        file (Path): Written by :func:`index_text`.
    """

    def __init__(self, file: Path) -> None:
        with file.open("rb") as stream:
            self._text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        ends = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n"))
        self._ends = ends.astype(np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def _line(self, number: int) -> tuple[bytes, int, int]:
        start = self._ends[number - 1] + 1 if number else 0
        path, row, size = self._text[start : self._ends[number]].split(b"\t")
        return path, int(row), int(size)

    def __iter__(self) -> Iterator[tuple[Picture, int]]:
        for number in range(len(self)):
            path, row, size = self._line(number)
            yield Picture(os.fsdecode(path), size), row

    def find(self, path: str) -> int | None:
        """Row of a picture; None where it has none."""
        key = os.fsencode(path)
        place = bisect.bisect_left(
            range(len(self)), key, key=lambda number: self._line(number)[0]
        )
        if place < len(self):
            found, row, _ = self._line(place)
            if found == key:
                return row
        return None


def index_text(rows: Iterable[tuple[Picture, int]]) -> bytes:
    """What :class:`Index` reads, of pictures in their order."""
    return b"".join(b"%s\t%d\t%d\n" % (p.key, row, p.size) for p, row in rows)
