"""What demos are asked to look at: pictures, videos and cameras."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from mmswinv2.pictures import IMAGE_SUFFIXES, PHONE_SUFFIXES, VIDEO_SUFFIXES

SUFFIXES = IMAGE_SUFFIXES | PHONE_SUFFIXES | VIDEO_SUFFIXES


class Source(NamedTuple):
    """A file or a camera."""

    kind: Literal["picture", "video", "camera"]
    name: str  # path of a file, number of a camera


def find_sources(given: Sequence[str]) -> list[Source]:
    """What files, folders, quoted globs and numbers of cameras name.

    What has the suffix of a picture or video is named even if it is none, such as a
    folder; of a folder nothing else is. A GIF that moves is a video.

    Raises:
        FileNotFoundError: One of these names nothing.
    """
    return [source for name in given for source in _find(name)]


def _find(given: str) -> list[Source]:
    if os.path.isfile(given):
        return [_as_source(given)]
    if given.isascii() and given.isdecimal() and not os.path.exists(given):
        return [Source("camera", given)]
    pattern = os.path.join(glob.escape(given), "*")
    found = sorted(glob.glob(pattern if os.path.isdir(given) else given))
    named = [path for path in found if Path(path).suffix.lower() in SUFFIXES]
    if not os.path.isdir(given):
        named = [path for path in found if path in named or os.path.isfile(path)]
    if not named:
        raise FileNotFoundError(
            f"no image or video at {given!r}: give a photo, a video, a folder of such "
            f"({' '.join(sorted(SUFFIXES))}), a quoted glob or the number of a camera"
        )
    return [_as_source(path) for path in named]


def _as_source(path: str) -> Source:
    suffix = Path(path).suffix.lower()
    is_video = _moves(path) if suffix == ".gif" else suffix in VIDEO_SUFFIXES
    return Source("video" if is_video else "picture", path)


def _moves(path: str) -> bool:
    try:
        with Image.open(path) as opened:
            return getattr(opened, "is_animated", False)
    except Exception:  # who reads it says what is wrong with it
        return False
