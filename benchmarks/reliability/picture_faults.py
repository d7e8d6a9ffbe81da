"""All that can be wrong with the file of a picture or a label map."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image


def _save(change: Callable[[Image.Image], Image.Image], **options: object) -> Callable:
    def write(path: Path, random: Random) -> None:
        with Image.open(path) as image:
            image.load()
        change(image).save(path, **options)

    return write


def _bytes(change: Callable[[bytes, Random], bytes]) -> Callable:
    def write(path: Path, random: Random) -> None:
        path.write_bytes(change(path.read_bytes(), random))

    return write


def _bomb(width: int, height: int) -> Callable:
    """A PNG whose header names a size, with a few bytes of pixels."""

    def write(path: Path, random: Random) -> None:
        def chunk(kind: bytes, data: bytes) -> bytes:
            check = struct.pack(">I", zlib.crc32(kind + data))
            return struct.pack(">I", len(data)) + kind + data + check

        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        pixels = zlib.compress(bytes(100_000))
        parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))

    return write


def _turned(orientation: int, kind: str) -> Callable:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _save(lambda image: image, exif=exif, format=kind)


def _replace_by_folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def _link_to_nowhere(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to("nowhere.png")


def _link_to_itself(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to(path)


def _animate(image: Image.Image) -> Image.Image:
    return image.convert("P")


def _more(image: Image.Image) -> list[Image.Image]:
    return [Image.fromarray(np.zeros(image.size[::-1], np.uint8))]


def _moving(kind: str) -> Callable:
    def write(path: Path, random: Random) -> None:
        with Image.open(path) as image:
            image.load()
        image.save(path, format=kind, save_all=True, append_images=_more(image))

    return write


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(60, len(data) - 20)]


def _flip(data: bytes, random: Random) -> bytes:
    place = random.randrange(60, len(data) - 20)
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


FAULTS: dict[str, Callable[[Path, Random], None]] = {
    "missing": lambda p, r: p.unlink(),
    "empty": lambda p, r: p.write_bytes(b""),
    "text": lambda p, r: p.write_text("<html>404</html>"),
    "zeros": lambda p, r: p.write_bytes(bytes(5000)),
    "cut in the header": _bytes(lambda d, r: d[: r.randrange(1, 30)]),
    "cut in the pixels": _bytes(_cut),
    "a wrong byte in the pixels": _bytes(_flip),
    "bytes behind the end": _bytes(lambda d, r: d + bytes(1000)),
    "a folder": _replace_by_folder,
    "a link to nowhere": _link_to_nowhere,
    "a link to itself": _link_to_itself,
    "100,000 x 100,000 px": _bomb(100_000, 100_000),
    "30,000 x 30,000 px": _bomb(30_000, 30_000),
    "12,000 x 12,000 px": _bomb(12_000, 12_000),
    "2,000,000,000 x 1 px": _bomb(2_000_000_000, 1),
    "0 x 0 px": _bomb(0, 0),
    "1 x 1 px": _save(lambda image: image.resize((1, 1))),
    "half the size": _save(lambda i: i.resize((i.width // 2, i.height // 2))),
    "sides swapped": _save(lambda image: image.rotate(90, expand=True)),
    "CMYK": _save(lambda image: image.convert("CMYK"), format="JPEG"),
    "JPEG": _save(lambda image: image.convert("RGB"), format="JPEG"),
    "grey": _save(lambda image: image.convert("L")),
    "grey and alpha": _save(lambda image: image.convert("LA")),
    "colour and alpha": _save(lambda image: image.convert("RGBA")),
    "colour": _save(lambda image: image.convert("RGB")),
    "palette": _save(lambda image: image.convert("P")),
    "one bit": _save(lambda image: image.convert("1")),
    "16 bits": _save(
        lambda i: Image.fromarray(np.asarray(i.convert("L")).astype(np.uint16) * 256)
    ),
    "TIFF of floats": _save(lambda image: image.convert("F"), format="TIFF"),
    "GIF": _save(_animate, format="GIF"),
    "GIF that moves": _moving("GIF"),
    "PNG that moves": _moving("PNG"),
    "WebP that moves": _moving("WEBP"),
    "turned by EXIF, PNG": _turned(6, "PNG"),
    "upside down by EXIF, PNG": _turned(3, "PNG"),
}


# Where nothing says which files there are, and of what size.
NO_FAULT_OF_CLASSES = (
    *("missing", "a folder", "1 x 1 px", "half the size", "sides swapped"),
    *("turned by EXIF, PNG", "upside down by EXIF, PNG"),
)


def _values(change: Callable[[np.ndarray], np.ndarray], kind: str = "PNG") -> Callable:
    def write(path: Path, random: Random) -> None:
        with Image.open(path) as image:
            array = np.asarray(image)
        Image.fromarray(change(array)).save(path, format=kind)

    return write


# What the pixels of a label map may say.
LABEL_FAULTS: dict[str, Callable[[Path, Random], None]] = {
    "a class too many": _values(lambda a: np.where(a == 1, 3, a).astype(np.uint8)),
    "class 254": _values(lambda a: np.where(a == 1, 254, a).astype(np.uint8)),
    "counted from 1": _values(lambda a: np.where(a == 255, a, a + 1).astype(np.uint8)),
    "values over 255": _values(lambda a: a.astype(np.uint16) + 256),
    "values over 65,535": _values(lambda a: a.astype(np.int32) + 65_536, "TIFF"),
}
