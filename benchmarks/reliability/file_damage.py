"""Damage to files of checkpoints: to bytes, and to what tells where tensors are."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

ODD_JSON = (None, True, -1, 0, 1.5, 10**30, "", "x", [], [1], {}, {"a": 1}, [[]], "8")


def change_bytes(path: Path, rng: Random) -> str:
    """Damage a file anywhere; returns what was done."""
    content = bytearray(path.read_bytes())
    size, kind = len(content), rng.randrange(8)
    at = (
        rng.choice(
            [
                rng.randrange(size),
                rng.randrange(min(size, 2000)),
                -1 - rng.randrange(min(size, 3000)),
            ]
        )
        % size
    )
    run = rng.choice([1, 2, 8, 64, 1000])
    if kind < 2:
        bit = rng.randrange(8)
        content[at] ^= 1 << bit
        done = f"bit {bit} of byte {at} flipped"
    elif kind == 2:
        content[at : at + run] = rng.randbytes(len(content[at : at + run]))
        done = f"{run} bytes from {at} random"
    elif kind == 3:
        fill = rng.choice([0, 255])
        content[at : at + run] = bytes([fill]) * len(content[at : at + run])
        done = f"{run} bytes from {at} are {fill}"
    elif kind == 4:
        del content[at:]
        done = f"cut to {at} bytes"
    elif kind == 5:
        del content[at : at + run]
        done = f"{run} bytes from {at} missing"
    elif kind == 6:
        content[at:at] = rng.randbytes(run)
        done = f"{run} bytes put in at {at}"
    else:
        other = rng.randrange(size)
        content[at : at + run], content[other : other + run] = (
            content[other : other + run],
            content[at : at + run],
        )
        done = f"{run} bytes of {at} and {other} exchanged"
    path.write_bytes(content)
    return done


def change_directory(path: Path, rng: Random) -> str:
    """Damage the directory of a zip archive, or the lengths before its entries."""
    content = bytearray(path.read_bytes())
    places = [
        i
        for i in range(len(content) - 4)
        if content[i : i + 2] == b"PK"
        and content[i + 2 : i + 4]
        in (b"\x01\x02", b"\x03\x04", b"\x05\x06", b"\x06\x06", b"\x06\x07")
    ]
    place = rng.choice(places)
    kind = bytes(content[place + 2 : place + 4])
    # Offset and format of fields: flags, method, CRC-32, sizes, lengths, place
    fields = {
        b"\x01\x02": [
            (8, "<H"),
            (10, "<H"),
            (16, "<I"),
            (20, "<I"),
            (24, "<I"),
            (28, "<H"),
            (30, "<H"),
            (32, "<H"),
            (42, "<I"),
        ],
        b"\x03\x04": [
            (6, "<H"),
            (8, "<H"),
            (14, "<I"),
            (18, "<I"),
            (22, "<I"),
            (26, "<H"),
            (28, "<H"),
        ],
        b"\x05\x06": [(8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H")],
        b"\x06\x06": [(4, "<Q"), (24, "<Q"), (32, "<Q"), (40, "<Q"), (48, "<Q")],
        b"\x06\x07": [(4, "<I"), (8, "<Q"), (16, "<I")],
    }
    offset, form = rng.choice(fields[kind])
    most = 256 ** struct.calcsize(form) - 1
    (old,) = struct.unpack_from(form, content, place + offset)
    new = rng.choice(
        [0, 1, 8, most, most // 2, old + 1, max(old - 1, 0), 2 * old, old ^ 1]
    )
    struct.pack_into(form, content, place + offset, min(new, most))
    path.write_bytes(content)
    return f"zip {kind.hex()} at {place}: field {offset} was {old}, is {new}"


def change_header(path: Path, rng: Random) -> str:
    """Damage the header of safetensors: lengths, places, types, shapes, names."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    data = content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    name, other = rng.sample(names, 2)
    entry, kind = header[name], rng.randrange(10)
    text = None
    if kind == 0:
        length = rng.choice([0, 1, length - 1, length + 1, 2**31, 2**63, 10**8])
        path.write_bytes(struct.pack("<Q", length) + content[8:])
        return f"length of the header is {length}"
    if kind == 1:
        end = rng.randrange(2)
        entry["data_offsets"][end] += rng.choice([-4, 4, 1, 10**12, -(10**12), 2**62])
    elif kind == 2:
        entry["data_offsets"] = header[other]["data_offsets"]
    elif kind == 3:
        entry["dtype"] = rng.choice(
            ["F16", "BF16", "F64", "I32", "BOOL", "F8_E4M3", "C64", "U8", "X", None, 4]
        )
    elif kind == 4:
        entry["shape"] = rng.choice(
            [
                [],
                [-1],
                [2**40, 2**40],
                [*entry["shape"], 1],
                [1, 1, *entry["shape"]],
                ["2"],
                None,
                [0],
            ]
        )
    elif kind == 5:
        header[rng.choice(["", "x", f"{name}x", name.upper(), "layers.9.x", "é\n"])] = (
            header.pop(name)
        )
    elif kind == 6:
        del header[name]
    elif kind == 7:
        pairs = [
            f"{json.dumps(k)}: {json.dumps(header[v])}"
            for k, v in ((name, other), *((k, k) for k in header))
        ]
        text = "{" + ", ".join(pairs) + "}"
    elif kind == 8:
        metadata = header.setdefault("__metadata__", {})
        key = rng.choice([*metadata, "mmswinv2.windows", "mmswinv2.sha256", "x"])
        metadata[key] = rng.choice(
            [
                "",
                "x",
                "[]",
                "[[[1,1],[1,1]]]",
                "{}",
                "1",
                "[" * 10**5,
                "null",
                "[[[1e9,1],[1,1]],[[0,0],[0,0]]]",
                5,
                None,
            ]
        )
    else:
        text = rng.choice(
            [
                "{}",
                "[]",
                "null",
                "{" * 10**4,
                '{"a": ' * 10**4,
                '{"a": 1e999}',
                "\udcff",
                '{"__metadata__": []}',
            ]
        )
    text = json.dumps(header) if text is None else text
    encoded = text.encode(errors="surrogatepass")
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
    return f"header of safetensors: change {kind} of {name}"


def change_json(path: Path, rng: Random) -> str:
    """Put something odd into config.json or an index, where it is a sentence's turn."""
    content = json.loads(path.read_text())
    places: list[tuple[object, object]] = []
    waiting: list[object] = [content]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (dict, list)):
            keys = node if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            waiting += [node[key] for key in keys]
    node, key = rng.choice(places)
    done = f"{path.name}: {key!r}"
    if rng.random() < 0.2:
        del node[key]
        done += " missing"
    else:
        node[key] = rng.choice(ODD_JSON)
        done += f" is {node[key]!r}"
    path.write_text(json.dumps(content if rng.random() < 0.9 else rng.choice(ODD_JSON)))
    return done


def damages(path: Path) -> list[Callable[[Path, Random], str]]:
    """Kinds of damage that a file can have, as often as they shall occur."""
    if path.suffix == ".json":
        return [change_bytes, change_json]
    if path.suffix == ".safetensors":
        return [change_bytes, change_header]
    zipped = path.read_bytes()[:2] == b"PK"
    return [change_bytes, change_bytes, change_directory] if zipped else [change_bytes]
