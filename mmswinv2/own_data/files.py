"""Reads annotation files, folders and headers of pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from PIL import Image, UnidentifiedImageError

EXIF_ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
LISTS = ("images", "annotations", "categories")


def read_coco(path: str | Path, *, annotated: bool = True) -> dict:
    """The content of a COCO annotation file, whose records are not looked at.

    Args:
        path (str | Path): The file.
        annotated (bool): Whether it must have annotations; those of COCO's test sets
            have none. Defaults to True.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is cut, no JSON, or has not the three lists of COCO.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected COCO annotations")
    try:
        content = json.loads(path.read_text("utf-8"))  # as pycocotools
    except (ValueError, RecursionError) as error:  # bad JSON or bad UTF-8
        raise ValueError(f"{path} is no JSON file: {error}") from error
    given = content if isinstance(content, dict) else {}
    wanted = [key for key in LISTS if annotated or key != "annotations"]
    found = [key for key in wanted if isinstance(given.get(key), list)]
    if found != wanted:
        raise ValueError(
            f"{path} is no COCO annotation file: expected an object with the lists "
            f"{', '.join(wanted)}, found {', '.join(found) or 'none of them'}"
        )
    return content


def list_files(folder: str | Path) -> dict[str, int]:
    """Bytes of all files under a folder, by their sorted paths relative to it.

    A link to nowhere or to itself is a file of 0 bytes.
    """
    sizes: dict[str, int] = {}
    pending = [""]
    while pending:
        inside = pending.pop()
        with os.scandir(os.path.join(folder, inside)) as entries:
            for entry in entries:
                name = os.path.join(inside, entry.name)
                try:
                    if entry.is_dir():
                        pending.append(name)
                    else:
                        sizes[name] = entry.stat().st_size
                except OSError:
                    sizes[name] = 0
    return dict(sorted(sizes.items()))


@contextmanager
def any_size() -> Iterator[None]:
    """Within it, Pillow opens pictures that it takes for an attack by their size.

    OpenCV, which pipelines read with, has a limit of its own.
    """
    with patch.object(Image, "MAX_IMAGE_PIXELS", None):
        yield


class Header(NamedTuple):
    """What the header of a picture says; width and height in px, as stored."""

    width: int
    height: int
    orientation: int  # of EXIF, 1 to 8; 1 is upright
    mode: str  # Pillow's, such as 'L', 'P' or 'RGB'
    format: str  # Pillow's, such as 'JPEG' or 'PNG'

    @property
    def turned(self) -> bool:
        """Whether width and height swap when EXIF is obeyed."""
        return self.orientation in TURNED


def read_header(path: str | Path) -> Header:
    """The header of a picture, whose pixels are not read.

    Raises:
        ValueError: It is no picture that Pillow knows.
    """
    try:
        with any_size(), Image.open(path) as image:
            # Pillow would decode a PNG to look for EXIF data behind its pixels
            known = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(EXIF_ORIENTATION, 1) if known else 1
            return Header(*image.size, orientation, image.mode, image.format or "")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error


def stored_size(path: str | Path) -> tuple[int, int, bool]:
    """(width, height) as stored, from a file's header, and whether EXIF turns it.

    Raises:
        ValueError: It is no picture that Pillow knows.
    """
    header = read_header(path)
    return header.width, header.height, header.turned
