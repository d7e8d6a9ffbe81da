"""Numbers of pictures with label maps: pairs of files, sizes, values."""

from __future__ import annotations

import os
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from .files import list_files, stored_size

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MODES = ("L", "P", "1", "I", "I;16")  # one channel
IGNORED = 255  # mmseg's ignore_index
MOST_READ = 2000  # label maps whose pixels are counted


@dataclass(frozen=True)
class Pairs:
    """Pictures and label maps that belong together.

    Attributes:
        names (tuple[str, ...]): Paths inside both folders, without the suffixes.
        img_suffix (str): End of the pictures' names.
        seg_map_suffix (str): End of the label maps' names.
        unlabelled (int): Pictures of this suffix without a label map.
        others (int): Pictures of other suffixes, which mmseg's dataset leaves out.
    """

    names: tuple[str, ...]
    img_suffix: str
    seg_map_suffix: str
    unlabelled: int
    others: int


@dataclass(frozen=True)
class LabelSurvey:
    """What is in some label maps.

    Attributes:
        pictures (np.ndarray): Width and height in px, (n, 2).
        values (dict[int, float]): Share of the pixels of each value.
        found (dict[int, int]): Label maps that have a value, of those read.
        read (int): Label maps whose pixels were counted.
    """

    pictures: np.ndarray
    values: dict[int, float]
    found: dict[int, int]
    read: int

    @property
    def labels(self) -> list[int]:
        """Values but the one that is ignored."""
        return [value for value in sorted(self.values) if value != IGNORED]


def find_pairs(images: str | Path, labels: str | Path) -> Pairs:
    """Finds the suffixes with which pictures and label maps are called alike.

    Raises:
        FileNotFoundError: A folder is missing or has no pictures.
        ValueError: Names do not go together.
    """
    if os.path.realpath(images) == os.path.realpath(labels):
        raise ValueError(
            f"--images and --labels are the same folder, {images}; move the label maps "
            "into one of their own"
        )
    pictures = _pictures(images)
    maps = _pictures(labels)
    ends = Counter(_ends(name, pictures) for name in maps)
    (img_suffix, seg_suffix), _ = ends.most_common(1)[0]
    there = {n.removesuffix(img_suffix) for n in pictures if n.endswith(img_suffix)}
    stems = [n.removesuffix(seg_suffix) for n in maps if n.endswith(seg_suffix)]
    names = tuple(name for name in stems if name and name in there)
    if len(names) * 2 < len(maps):
        raise ValueError(
            f"label maps in {labels} are not called like pictures in {images}: "
            f"{maps[0]} and {pictures[0]}; expected the same names but for one end, "
            "such as a.jpg and a.png, or a_photo.jpg and a_labels.png"
        )
    unlabelled, others = len(there) - len(names), len(pictures) - len(there)
    return Pairs(names, img_suffix, seg_suffix, unlabelled, others)


def survey_labels(
    pairs: Pairs,
    images: str | Path,
    labels: str | Path,
    names: Sequence[str] | None = None,
) -> LabelSurvey:
    """Counts sizes of pictures, and pixels of label maps (of a sample of many).

    Args:
        pairs (Pairs): How the files are called.
        images (str | Path): Folder of the pictures.
        labels (str | Path): Folder of the label maps.
        names (Sequence[str], optional): Those to count; all by default.

    Raises:
        ValueError: A file cannot be read, or is no label map.
    """
    names = list(pairs.names if names is None else names)
    sizes = []
    for name in names:
        width, height, turned = stored_size(Path(images, name + pairs.img_suffix))
        sizes.append((height, width) if turned else (width, height))
    step = -(-len(names) // MOST_READ)
    pixels: Counter[int] = Counter()
    found: Counter[int] = Counter()
    sample = names[::step]
    for name in track(sample, "label maps", transient=True):
        values, counts = _values(Path(labels, name + pairs.seg_map_suffix))
        pixels.update(dict(zip(values, counts)))
        found.update(values)
    total = pixels.total()
    shares = {value: pixels[value] / total for value in sorted(pixels)}
    return LabelSurvey(np.array(sizes, float), shares, dict(found), len(sample))


def _pictures(folder: str | Path) -> list[str]:
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder} is no folder")
    names = [n for n in list_files(folder) if n.lower().endswith(PICTURES)]
    if not names:
        raise FileNotFoundError(
            f"{folder} has no pictures; known are {', '.join(PICTURES)}"
        )
    return sorted(names)


def _ends(name: str, pictures: Sequence[str]) -> tuple[str, str]:
    """What follows the longest beginning that a map shares with a picture."""
    place = bisect(pictures, name)
    near = pictures[max(place - 1, 0) : place + 1]
    length, other = max((_common(name, other), other) for other in near)
    length = min(length, name.rindex("."), other.rindex("."))
    return other[length:], name[length:]


def _common(one: str, other: str) -> int:
    """Length of what both begin with."""
    pairs = enumerate(zip(one, other))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _values(path: Path) -> tuple[list[int], list[int]]:
    try:
        with Image.open(path) as image:
            if image.mode not in MODES:
                raise ValueError(
                    f"{path} has colours ({image.mode}); a label map has one number "
                    "for each pixel, 0 to the number of classes, in one channel. Turn "
                    "colours into numbers first"
                )
            values, counts = np.unique(np.asarray(image), return_counts=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return values.astype(int).tolist(), counts.tolist()
