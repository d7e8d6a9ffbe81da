"""Reads annotation files, folders and headers of pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

EXIF_ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
LISTS = ("images", "annotations", "categories")


def read_coco(path: str | Path) -> dict:
    """The content of a COCO annotation file, whose records are not looked at.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is cut, no JSON, or has not the three lists of COCO.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected COCO annotations")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:  # bad JSON or bad UTF-8
        raise ValueError(f"{path} is no JSON file: {error}") from error
    given = content if isinstance(content, dict) else {}
    found = [key for key in LISTS if isinstance(given.get(key), list)]
    if len(found) < len(LISTS):
        raise ValueError(
            f"{path} is no COCO annotation file: expected an object with the lists "
            f"{', '.join(LISTS)}, found {', '.join(found) or 'none of them'}"
        )
    return content


def list_files(folder: str | Path) -> dict[str, int]:
    """Bytes of all files under a folder, by their paths relative to it."""
    sizes: dict[str, int] = {}
    pending = [""]
    while pending:
        inside = pending.pop()
        with os.scandir(os.path.join(folder, inside)) as entries:
            for entry in entries:
                name = os.path.join(inside, entry.name)
                if entry.is_dir():
                    pending.append(name)
                else:
                    sizes[name] = entry.stat().st_size
    return dict(sorted(sizes.items()))


def stored_size(path: str | Path) -> tuple[int, int, bool]:
    """(width, height) as stored, from a file's header, and whether EXIF turns it.

    Raises:
        ValueError: It is no picture that Pillow knows.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(EXIF_ORIENTATION) in TURNED
            return *image.size, turned
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error
