"""Stores that are being written: by several processes, and again after a kill."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.filesize import decimal

from mmswinv2.checkpoints.checksums import sha256_of
from mmswinv2.checkpoints.whole_files import (
    UnsavedError,
    remove_unfinished,
    whole_file,
    write_whole,
)

from .manifest import DONE, DRAFT, FORMAT, INDEX, MANIFEST, MapSpec, dumped, read_json
from .pictures import Index, Picture, fingerprint, index_text
from .shards import ShardFile, shard_bytes, shard_name

FLUSH = 5.0  # seconds of work that a kill may cost


class MapWriter:
    """Fills the rows of a store that :func:`begin_store` has begun.

    Several processes may have one each, for the same folder, as long as they write
    other rows. The order of rows is that of the pictures, so that the files are the
    same whoever writes them, and when.

    Args:
        folder (str | Path): Of the store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.draft = read_json(self.folder / DRAFT)
        self.spec = MapSpec.from_json(self.draft)
        self.rows: int = self.draft["rows"]
        self.block: int = self.draft["block"]
        self._per_shard = self.spec.rows_per_shard()
        self._open: dict[tuple[str, int], ShardFile] = {}
        self._written: list[int] = []  # rows that may not be on the disk
        self._flushed = time.monotonic()

    def paths(self) -> list[str | None]:
        """Picture of each row; None where it was removed from the data folder."""
        paths: list[str | None] = [None] * self.rows
        for picture, row in Index(self.folder / INDEX):
            paths[row] = picture.path
        return paths

    def done(self) -> np.ndarray:
        """Whether each row is finished, ``(rows,)``."""
        return np.fromfile(self.folder / DONE, np.uint8).astype(bool)

    def blocks(self) -> Iterator[range]:
        """Rows that belong into a batch, where one of them is not finished."""
        finished = self.done()
        finished[[row for row, path in enumerate(self.paths()) if path is None]] = True
        for start in range(0, self.rows, self.block):
            rows = range(start, min(start + self.block, self.rows))
            if not finished[start : rows.stop].all():
                yield rows

    def write(self, rows: Sequence[int], maps: Mapping[str, np.ndarray]) -> None:
        """Writes maps of rows, ``(n, ...)`` for each array of the store.

        Every few seconds rows are noted as finished, which a kill does not undo.
        """
        for place, row in enumerate(rows):
            shard, first = divmod(row, self._per_shard)
            for name, values in maps.items():
                self._shard(name, shard).write(first, values[place : place + 1])
        self._written += rows
        if time.monotonic() - self._flushed > FLUSH:
            self.flush()

    def flush(self) -> None:
        """Notes rows as finished, once they are on the disk."""
        self._flushed = time.monotonic()
        for shard in self._open.values():
            shard.flush()
            shard.close()
        self._open.clear()
        if not self._written:
            return
        file = self.folder / DONE
        try:
            with file.open("r+b", buffering=0) as stream:
                for row in self._written:
                    os.pwrite(stream.fileno(), b"\1", row)
        except OSError as error:
            raise UnsavedError(
                f"{file} could not be saved: {error.strerror}"
            ) from error
        self._written.clear()

    def finish(self) -> None:
        """Makes it a store, all of whose rows are finished.

        Raises:
            RuntimeError: If some are not.
        """
        self.flush()
        missing = sum(1 for _ in self.blocks())
        if missing:
            raise RuntimeError(
                f"{self.folder} is not complete: {missing} blocks of {self.block} "
                "pictures lack maps"
            )
        for name, number, _, _ in self.spec.shards(self.rows):
            self._shard(name, number)  # those of rows that were never written too
        self.flush()
        shards = self.spec.shards(self.rows)
        files = [
            self.folder / shard_name(name, number) for name, number, _, _ in shards
        ]
        index = self.folder / INDEX
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            *checksums, of_index = pool.map(sha256_of, [*files, index])
        entries = [
            dict(file=f.name, bytes=f.stat().st_size, sha256=s)
            for f, s in zip(files, checksums)
        ]
        manifest = {key: self.draft[key] for key in self.draft if key != "block"}
        manifest["images"] = len(Index(index))
        size = index.stat().st_size
        manifest["index"] = dict(file=INDEX, bytes=size, sha256=of_index)
        manifest["shards"] = entries
        write_whole(self.folder / MANIFEST, dumped(manifest))
        for name in (DRAFT, DONE):
            (self.folder / name).unlink(missing_ok=True)

    def _shard(self, name: str, number: int) -> ShardFile:
        if (name, number) not in self._open:
            dtype, shape = self.spec.arrays()[name]
            rows = min(self._per_shard, self.rows - number * self._per_shard)
            file = self.folder / shard_name(name, number)
            self._open[name, number] = ShardFile(file, dtype, (rows, *shape))
        return self._open[name, number]


def begin_store(
    folder: str | Path, spec: MapSpec, pictures: Sequence[Picture], *, block: int
) -> MapWriter:
    """Begins a store, or goes on with one that was begun.

    One that was begun keeps its size of blocks. Maps of pictures that have other sizes
    by now are made anew, and those of pictures that are gone are left out.

    Args:
        folder (str | Path): Made if it is not there.
        spec (MapSpec): What its maps are.
        pictures (Sequence[Picture]): As :func:`find_pictures` gives them.
        block (int): Pictures in a batch.

    Raises:
        ValueError: If the folder has something else in it: a store that is finished,
            of other maps, or of other pictures.
        RuntimeError: If the disk has not enough room.
    """
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        raise ValueError(f"{folder} has a finished store already; name another folder")
    spec.check()
    content = dict(format=FORMAT, **spec.to_json())
    if (folder / DRAFT).exists():
        draft = read_json(folder / DRAFT)
        _check_same(folder, draft, content)
        if draft["data"] != fingerprint(pictures):
            draft = _adopt(folder, draft, pictures)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        names = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
        if names - {INDEX, DONE}:  # which a kill just here leaves
            raise ValueError(f"{folder} is not empty; name a new folder")
        draft = dict(content, rows=len(pictures), block=block)
        draft["data"] = fingerprint(pictures)
        _write(folder / INDEX, index_text(zip(pictures, range(len(pictures)))))
        _write(folder / DONE, bytes(len(pictures)))
    remove_unfinished(folder)
    _check_room(folder, spec, draft["rows"])
    write_whole(folder / DRAFT, dumped(draft))
    return MapWriter(folder)


def _check_same(folder: Path, draft: dict, content: dict) -> None:
    other = [key for key in content if draft.get(key) != content[key]]
    if other:
        key = other[0]
        raise ValueError(
            f"{folder} was begun with {key} {_short(draft.get(key))}, not "
            f"{_short(content[key])}; go on with that, or name another folder"
        )


def _adopt(folder: Path, draft: dict, pictures: Sequence[Picture]) -> dict:
    """The draft for pictures of which some have changed or are gone."""
    begun = {picture.path: (picture, row) for picture, row in Index(folder / INDEX)}
    new = [picture.path for picture in pictures if picture.path not in begun]
    if new:
        raise ValueError(
            f"{folder} was begun for {len(begun):,} pictures, of which {new[0]} is "
            f"none ({len(new):,} are new); remove what is new, or name another folder"
        )
    done = np.fromfile(folder / DONE, np.uint8)
    rows = [(picture, begun[picture.path][1]) for picture in pictures]
    done[[row for picture, row in rows if begun[picture.path][0] != picture]] = 0
    _write(folder / DONE, done.tobytes())
    _write(folder / INDEX, index_text(rows))
    return dict(draft, data=fingerprint(pictures))


def _check_room(folder: Path, spec: MapSpec, rows: int) -> None:
    needed = used = 0
    for name, number, dtype, shape in spec.shards(rows):
        needed += shard_bytes(dtype, shape)
        file = folder / shard_name(name, number)
        used += file.stat().st_blocks * 512 if file.exists() else 0
    free = shutil.disk_usage(folder).free
    if needed - used > free:
        raise RuntimeError(
            f"{folder} needs {decimal(needed - used)} for {rows:,} maps, but its disk "
            f"has {decimal(free)} left; make room, or name a folder "
            "elsewhere"
        )


def _write(file: Path, content: bytes) -> None:
    with whole_file(file) as unfinished:
        unfinished.write_bytes(content)


def _short(value: object) -> str:
    if isinstance(value, dict):
        value = " ".join(str(part)[:40] for part in value.values())
    return str(value)[:120]
