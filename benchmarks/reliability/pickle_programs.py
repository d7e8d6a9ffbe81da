"""Pickles as programs: an assembler, and the containers of torch.save around them."""

from __future__ import annotations

import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

BYTE = b"\x3c"  # all data of tensors: whatever is read from elsewhere shows
MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class Global:
    """A name that a pickle imports."""

    module: str
    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """A function's result or, if ``new``, an instance; and a state that it gets."""

    function: object
    arguments: object = ()
    state: object = None
    new: bool = False


@dataclass(frozen=True)
class Persistent:
    """What an id refers to: data of a tensor."""

    id: object


@dataclass(frozen=True)
class Raw:
    """Steps as they are."""

    steps: bytes


def encode(value: object) -> bytes:
    """Steps that leave a value on the stack."""
    if isinstance(value, Raw):
        return value.steps
    if isinstance(value, Global):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        steps = encode(value.function) + encode(value.arguments)
        steps += b"\x81" if value.new else b"R"
        return steps if value.state is None else steps + encode(value.state) + b"b"
    if isinstance(value, Persistent):
        return encode(value.id) + b"Q"
    if isinstance(value, (list, tuple)):
        inner = b"".join(map(encode, value))
        return b"](" + inner + b"e" if isinstance(value, list) else b"(" + inner + b"t"
    if isinstance(value, dict):
        pairs = (encode(key) + encode(entry) for key, entry in value.items())
        return b"}(" + b"".join(pairs) + b"u"
    if isinstance(value, bytes):  # protocol 2 keeps them as text
        text = (value.decode("latin1"), "latin1")
        return encode(Call(Global("_codecs", "encode"), text))
    return pickle.dumps(value, 2)[2:-1]  # without PROTO and STOP


def program(value: object) -> bytes:
    """A whole pickle."""
    return b"\x80\x02" + encode(value) + b"."


def write_zip(path: Path, content: bytes, data: dict[str, int]) -> None:
    """A zip archive with sound checksums around a pickle.

    Args:
        path (Path): Of the file.
        content (bytes): The pickle.
        data (dict[str, int]): Bytes of each storage.
    """
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", b"little")
        for key, size in data.items():
            archive.writestr(f"archive/data/{key}", BYTE * size)
        archive.writestr("archive/version", b"3\n")


def write_legacy(path: Path, content: bytes, data: dict[str, int], width: int) -> None:
    """A file of before torch 1.6 around a pickle, with items of ``width`` bytes.

    It has the data that the pickle names.
    """
    machine = dict(protocol_version=1001, little_endian=True, type_sizes={})
    parts = [pickle.dumps(x, 2) for x in (MAGIC, 1001, machine)]
    named = {key: size for key, size in data.items() if encode(key) in content}
    parts += [content, pickle.dumps([*named], 2)]
    for size in named.values():
        parts.append(struct.pack("<q", size // width) + BYTE * size)
    path.write_bytes(b"".join(parts))


def storage(key: object = "0", kind: object = None, count: object = 64) -> Persistent:
    """Data of a tensor, as torch.save refers to them."""
    kind = Global("torch", "FloatStorage") if kind is None else kind
    return Persistent(("storage", kind, key, "cpu", count))


def tensor(
    data: object = None,
    offset: object = 0,
    size: object = (8, 8),
    stride: object = (8, 1),
) -> Call:
    """A tensor, as torch.save writes it."""
    hooks = Call(Global("collections", "OrderedDict"))
    data = storage() if data is None else data
    arguments = (data, offset, size, stride, False, hooks)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)
