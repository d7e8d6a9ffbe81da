"""Files that are there in whole or not at all, whatever kills the process."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend, register_backend
from safetensors import SafetensorError

from mmswinv2.errors import RunError

UNFINISHED = ".unfinished"  # suffix of a file that is being written


class UnsavedError(RunError):
    """A file could not be written: a full disk, a quota, no permission."""


@contextmanager
def whole_file(path: str | Path, *, flush: bool = True) -> Iterator[Path]:
    """Gives a name to write a file under, which then takes its place.

    The file is on the disk before it gets its name, so a kill or a loss of power leaves
    what was there before. An error leaves that too, and nothing else.

    Args:
        path (str | Path): Of the file.
        flush (bool): Whether to wait for the disk, which takes longer than to write a
            small file; without, it may be empty after a loss of power. Defaults to
            True.

    Yields:
        Path: Of a file in the same folder.

    Raises:
        UnsavedError: If the system cannot write it.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        if flush:
            _flush(unfinished)
        os.replace(unfinished, path)
        if flush:
            with suppress(OSError):  # not every file system can
                _flush(path.parent)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnsavedError(f"{path} could not be saved: {why}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def save_whole(content: object, path: str | Path) -> None:
    """As ``torch.save``, which writes in place and says nothing of a full disk."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_file(path) as unfinished:
        unfinished.write_bytes(buffer.getbuffer())


def write_whole(path: str | Path, text: str) -> None:
    """As ``Path.write_text``."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text)


class WholeFiles(LocalBackend):
    """mmengine's files on disks, written by :func:`whole_file` while that is wished."""

    wished = False

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes."""
        if not WholeFiles.wished:
            super().put(obj, filepath)
            return
        with whole_file(filepath) as unfinished:
            unfinished.write_bytes(obj)


@contextmanager
def writes_whole_files() -> Iterator[None]:
    """Within it, mmengine writes what it saves on disks by :func:`whole_file`.

    mmengine's strategies choose the backend by themselves, so it has to be the default
    one; and mmengine keeps backends, so it stays that, as one that does nothing else.
    """
    register_backend("local", WholeFiles, force=True, prefixes="")
    before, WholeFiles.wished = WholeFiles.wished, True
    try:
        yield
    finally:
        WholeFiles.wished = before


def remove_unfinished(folder: str | Path) -> None:
    """Removes what a kill in the middle of writing has left in a folder."""
    for file in Path(folder).glob(f".*{UNFINISHED}"):
        file.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Has the system write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
