"""Files of pictures as they come from cameras, printers and programs, for all tests.

Each kind says how to write a file and what people see in it. The scene is smooth, so
that JPEG keeps it, and differs in each corner, so that turning it is noticed.
"""
# H W size in px

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms

HEIGHT, WIDTH = 40, 56
ORIENTATION = 0x0112  # EXIF's tag


def scene() -> np.ndarray:
    """Colours ``(H, W, 3)``, RGB of 8 bits."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    red, green = 60 + 3 * x, 220 - 4 * y
    return np.stack([red, green, 90 + x + 2 * y], -1).astype(np.uint8)


def grey() -> np.ndarray:
    """The same in greys ``(H, W)``."""
    return scene()[..., 0]


def cover() -> np.ndarray:
    """How opaque a scene is, ``(H, W)``: left not at all, in the middle half."""
    return (np.arange(WIDTH) * 3 // WIDTH * 255 // 2 + np.zeros((HEIGHT, 1))).astype(
        np.uint8
    )


def on_white(pixels: np.ndarray) -> np.ndarray:
    """What is seen of a scene that is as opaque as :func:`cover` on white."""
    share = cover()[..., None] / 255
    return (pixels * share + 255 * (1 - share)).round().astype(np.uint8)


def three(pixels: np.ndarray) -> np.ndarray:
    """RGB of greys."""
    return pixels[..., None].repeat(3, -1)


@dataclass
class Strange:
    """A kind of file.

    Attributes:
        name (str): Of the file.
        write (Callable): Gives its bytes.
        seen (Callable): Gives what is seen, ``(H, W, 3)``, RGB of 8 bits; or a part of
            the sentence that says why nothing is.
        off (int): By how much a pixel may differ, of a lossy file. Defaults to 1.
    """

    name: str
    write: Callable[[], bytes]
    seen: Callable[[], np.ndarray] | str
    off: int = 1

    def save(self, folder: Path) -> Path:
        """Writes the file into a folder."""
        path = folder / self.name
        path.write_bytes(self.write())
        return path


def _file(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _by_opencv(pixels: np.ndarray, suffix: str) -> bytes:
    bgr = pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]] if pixels.ndim == 3 else pixels
    return cv2.imencode(suffix, np.ascontiguousarray(bgr))[1].tobytes()


def _wide(pixels: np.ndarray) -> np.ndarray:
    """In 16 bits, whose lower 8 are not those of the upper."""
    return pixels.astype(np.uint16) * 256 + 77


def _turned(orientation: int, kind: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return _file(scene(), kind, exif=exif, **options)


def _upright(orientation: int) -> np.ndarray:
    """As EXIF 2.3 defines it: what the stored rows and columns are."""
    pixels = scene()
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels.swapaxes(0, 1)[::-1],
    }[orientation]


def _inks(pixels: np.ndarray) -> Image.Image:
    """CMYK whose black is half of what all inks share."""
    inks = 255 - pixels.astype(np.float64)
    black = inks.min(-1, keepdims=True) / 2
    colours = (inks - black) / (255 - black) * 255
    stacked = np.concatenate([colours, black], -1).round().astype(np.uint8)
    return Image.fromarray(stacked, "CMYK")


def _palette() -> bytes:
    """Sixteen colours, of which one is transparent."""
    picture = Image.fromarray(scene() // 64 * 64).quantize(16)
    return _file(picture, "PNG", transparency=picture.getpixel((0, 0)))


def _palette_seen() -> np.ndarray:
    picture = Image.fromarray(scene() // 64 * 64).quantize(16)
    seen = np.array(picture.convert("RGB"))
    seen[np.array(picture) == picture.getpixel((0, 0))] = 255
    return seen


def _black_and_white() -> np.ndarray:
    return scene()[..., 0] > 140


def _frames() -> dict:
    other = Image.new("RGB", (WIDTH, HEIGHT), "red")
    return dict(save_all=True, append_images=[other])


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _broken_exif() -> bytes:
    return _file(scene(), "JPEG", quality=98, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")


def _huge() -> bytes:
    """The header of a picture that no memory takes, as attacks have them."""
    content = bytearray(_file(scene(), "PNG"))
    content[16:24] = np.array([2**20, 2**20], ">u4").tobytes()
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


JPEG = dict(quality=98, subsampling=0)
KINDS = [
    Strange("plain.jpg", lambda: _file(scene(), "JPEG", **JPEG), scene, 8),
    Strange(
        "progressive.jpg",
        lambda: _file(scene(), "JPEG", progressive=True, **JPEG),
        scene,
        8,
    ),
    # Pillow marks it as Adobe's, and inverts its inks as Adobe does
    Strange("cmyk.jpg", lambda: _file(_inks(scene()), "JPEG", quality=98), scene, 10),
    Strange("cmyk.tif", lambda: _file(_inks(scene()), "TIFF"), scene, 3),
    Strange(
        "grey.jpg", lambda: _file(grey(), "JPEG", **JPEG), lambda: three(grey()), 4
    ),
    Strange("grey.png", lambda: _file(grey(), "PNG"), lambda: three(grey())),
    Strange("grey16.png", lambda: _file(_wide(grey()), "PNG"), lambda: three(grey())),
    Strange("grey16.tif", lambda: _file(_wide(grey()), "TIFF"), lambda: three(grey())),
    Strange("rgb16.png", lambda: _by_opencv(_wide(scene()), ".png"), scene),
    Strange("rgb16.tif", lambda: _by_opencv(_wide(scene()), ".tif"), scene),
    Strange(
        "grey_alpha.png",
        lambda: _file(np.dstack([grey(), cover()]), "PNG"),
        lambda: on_white(three(grey())),
    ),
    Strange(
        "rgba.png",
        lambda: _file(np.dstack([scene(), cover()]), "PNG"),
        lambda: on_white(scene()),
    ),
    Strange(
        "rgba16.png",
        lambda: _by_opencv(_wide(np.dstack([scene(), cover()])), ".png"),
        lambda: on_white(scene()),
    ),
    Strange(
        "rgba.webp",
        lambda: _file(np.dstack([scene(), cover()]), "WEBP", lossless=True, exact=True),
        lambda: on_white(scene()),
    ),
    Strange("palette.png", _palette, _palette_seen),
    Strange(
        "bits.png",
        lambda: _file(_black_and_white(), "PNG"),
        lambda: three(_black_and_white() * np.uint8(255)),
    ),
    Strange(
        "floats.tif",
        lambda: _file(grey().astype(np.float32) / 255, "TIFF"),
        lambda: three(grey()),
    ),
    Strange(
        "float_colours.tif",
        lambda: _by_opencv(scene().astype(np.float32) / 255, ".tif"),
        scene,
        5,  # older versions of OpenCV write them lossily
    ),
    Strange("pages.tif", lambda: _file(scene(), "TIFF", **_frames()), scene),
    Strange(
        "moving.gif", lambda: _file(grey(), "GIF", **_frames()), lambda: three(grey())
    ),
    Strange("moving.png", lambda: _file(scene(), "PNG", **_frames()), scene),
    Strange(
        "profile.png",
        lambda: _file(scene(), "PNG", icc_profile=_profile()),
        scene,  # profiles are not followed
    ),
    Strange("broken_exif.jpg", _broken_exif, scene, 8),
    *(
        Strange(
            f"turned{number}.jpg",
            lambda number=number: _turned(number, "JPEG", **JPEG),
            lambda number=number: _upright(number),
            8,
        )
        for number in range(1, 9)
    ),
    *(
        Strange(
            f"turned6.{kind.lower()}",
            lambda kind=kind, options=options: _turned(6, kind, **options),
            lambda: _upright(6),
        )
        for kind, options in (
            ("PNG", {}),
            ("TIFF", {}),
            ("WEBP", dict(lossless=True)),
        )
    ),
]
BAD = [
    Strange("empty.jpg", lambda: b"", "is an empty file; copy it again"),
    Strange("text.jpg", lambda: b"no picture", "cannot be read as an image"),
    Strange(
        "cut.jpg",
        lambda: _file(scene(), "JPEG", **JPEG)[:-300],
        "is damaged or cut off: .*; copy it again",
    ),
    Strange(
        "cut.png",
        lambda: _file(scene(), "PNG")[:-30],
        "is damaged or cut off: .*; copy it again",
    ),
    Strange(
        "phone.heic",
        lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "is a HEIC or AVIF picture, which is not read here; save it as JPEG or PNG",
    ),
    Strange(
        "numbers.tif",
        lambda: _file(grey().astype(np.int32) * 1000, "TIFF"),
        "has whole numbers from .* expected 8 or 16 bits; save it with 8",
    ),
    Strange(
        "range.tif",
        lambda: _file(grey().astype(np.float32) * 9, "TIFF"),
        "has numbers from .* expected 0 to 1, or 0 to 255; save it with 8 bits",
    ),
    Strange(
        "huge.png",
        _huge,
        "is 1048576 x 1048576 px, which takes 7168.0 GiB of memory to read; .* free",
    ),
]
