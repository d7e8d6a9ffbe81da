"""Rows of maps in ``.npy`` files, of which any can be written on its own."""

from __future__ import annotations

import io
import os
from math import prod
from pathlib import Path

import numpy as np

from mmswinv2.checkpoints.whole_files import UnsavedError


def shard_name(array: str, number: int) -> str:
    """Of the file of some rows."""
    return f"{array}-{number:05}.npy"


def header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """What numpy begins the file of an array with."""
    stream = io.BytesIO()
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(
        stream, dict(descr=description, fortran_order=False, shape=shape)
    )
    return stream.getvalue()


def shard_bytes(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Of the whole file."""
    return len(header(dtype, shape)) + prod(shape) * dtype.itemsize


class ShardFile:
    """One file of rows that is being filled.

    Rows are written by the system's call, not through memory: a full disk is an error
    then, and no signal.

    Args:
        file (Path): Made if it is not there, all zeros.
        dtype (np.dtype): Of its numbers.
        shape (tuple[int, ...]): Rows, and the shape of one.
    """

    def __init__(self, file: Path, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.file, self.dtype, self.shape = file, dtype, shape
        self._header = header(dtype, shape)
        self._row = prod(shape[1:]) * dtype.itemsize
        try:
            self._handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
            if os.fstat(self._handle).st_size != shard_bytes(dtype, shape):
                os.pwrite(self._handle, self._header, 0)
                os.ftruncate(self._handle, shard_bytes(dtype, shape))
        except OSError as error:
            raise _unsaved(file, error) from error

    def write(self, row: int, rows: np.ndarray) -> None:
        """Rows from one on.

        Raises:
            UnsavedError: If the system cannot write them.
        """
        if rows.shape[1:] != self.shape[1:] or row + len(rows) > self.shape[0]:
            raise ValueError(
                f"{self.file} takes {self.shape[0]} rows of {self.shape[1:]}, not "
                f"{len(rows)} of {rows.shape[1:]} from row {row} on"
            )
        content = np.ascontiguousarray(rows, self.dtype).data.cast("B")
        offset = len(self._header) + row * self._row
        try:
            while content:
                written = os.pwrite(self._handle, content, offset)
                content, offset = content[written:], offset + written
        except OSError as error:
            raise _unsaved(self.file, error) from error

    def flush(self) -> None:
        """Waits until all is on the disk."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise _unsaved(self.file, error) from error

    def close(self) -> None:
        """Nothing can be written then."""
        os.close(self._handle)


def _unsaved(file: Path, error: OSError) -> UnsavedError:
    return UnsavedError(f"{file} could not be saved: {error.strerror or error}")
