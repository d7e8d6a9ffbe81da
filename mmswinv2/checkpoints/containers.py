"""The two containers of torch.save: zip archives, and the files of before torch 1.6."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from .pickles import ContentError, Storage, read_pickle

Loader = Callable[[Storage], Tensor]  # gives the bytes of a storage

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # pickle of a number of torch's
CHUNK = 2**22  # bytes


def read_zip(file: Path) -> tuple[Any, Loader]:
    """Content of a zip archive, with specifications in place of tensors.

    The CRC-32 of every entry that is read is checked, which torch does not do.

    Returns:
        tuple[Any, Callable]: The content, and what loads its storages.

    Raises:
        ContentError: If it is no checkpoint.
        Exception: Of nearly any kind, if it is damaged.
    """
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry for entry in archive.infolist()}
    if any(name.endswith("/constants.pkl") for name in entries):
        raise ContentError(
            "is a TorchScript archive; save the model's state_dict() instead"
        )
    roots = [name for name in entries if name.endswith("data.pkl")]
    if not roots:
        raise ContentError("is a zip archive, no weights; unpack it, give a file in it")
    root = roots[0].removesuffix("data.pkl")
    unprotected = not _has_checksums(archive)
    limit = file.stat().st_size

    def read(name: str) -> Tensor:
        entry = entries[root + name]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ContentError(
                "has compressed entries, which torch.save does not write; unpack it "
                "and zip it without compression (zip -0), or save it again"
            )
        if entry.file_size > limit:
            raise ContentError("is damaged: an entry is larger than the file")
        if unprotected:
            entry.CRC = None  # type: ignore[assignment]  # not compared then
        data = torch.empty(entry.file_size, dtype=torch.uint8)
        with archive.open(entry) as stream:
            _fill(data, stream)
            if stream.read(1):  # has the checksum of no data compared too
                raise ContentError("is damaged: an entry is larger than it says")
        return data

    order = f"{root}byteorder"
    if order in entries and bytes(read("byteorder").numpy()) != b"little":
        raise ContentError("was written on a big-endian machine; save it on another")
    content, _ = read_pickle(io.BytesIO(read("data.pkl").numpy().tobytes()))
    return content, lambda storage: read(f"data/{storage.key}")


def _has_checksums(archive: zipfile.ZipFile) -> bool:
    """Whether torch wrote checksums, and not zeros in place of all of them."""
    return any(entry.CRC for entry in archive.infolist())


def read_legacy(file: Path) -> tuple[Any, Loader]:
    """Content of a file of pickles and bare data, as :func:`read_zip` gives it.

    Nothing in such a file tells that its numbers are as they were written.
    """
    starts: dict[str, int] = {}
    with file.open("rb") as stream:
        heads = [read_pickle(stream)[0] for _ in range(3)]  # magic, version, machine
        if heads[1] != 1001 or not heads[2]["little_endian"]:
            raise ContentError("is of a version or machine that is not supported")
        content, storages = read_pickle(stream)
        keys, _ = read_pickle(stream)
        for key in keys:
            (count,) = struct.unpack("<q", stream.read(8))
            storage = storages[key]
            if count != storage.total:
                raise ContentError(
                    "is damaged: its data have another size than it says"
                )
            starts[key] = stream.tell()
            stream.seek(count * storage.dtype.itemsize, io.SEEK_CUR)

    def load(storage: Storage) -> Tensor:
        data = torch.empty(
            min(storage.total * storage.dtype.itemsize, file.stat().st_size),
            dtype=torch.uint8,
        )
        with file.open("rb") as stream:
            stream.seek(starts[storage.key])
            _fill(data, stream)
        return data

    return content, load


def _fill(data: Tensor, stream: IO[bytes]) -> None:
    target = data.numpy().data
    done = 0
    while done < len(target):
        chunk = stream.read(min(CHUNK, len(target) - done))
        if not chunk:
            raise ContentError("is damaged or truncated: its data end early")
        target[done : done + len(chunk)] = chunk
        done += len(chunk)


def protection_of_zip(file: Path) -> str:
    """What tells that the content of a zip archive is as it was written."""
    with zipfile.ZipFile(file) as archive:
        return "CRC-32 of every entry" if _has_checksums(archive) else "none"
