"""Whether pictures are there, whole, and of the size that annotations were made for."""

from __future__ import annotations

import filecmp
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import cv2
from PIL import Image

from mmswinv2.datasets.coco_masks import MAX_PIXELS, MAX_SIDE, is_size
from mmswinv2.own_data.files import Header, any_size, list_files, read_header

from .findings import Finding, Tally, first, watch

HEADERS = 2000  # pictures of a set whose headers are read
PIXELS = 64  # pictures of a set that are decoded
COMPARED = 2000  # validation pictures that are looked for among those of training
OBEYED = ("JPEG", "MPO", "PNG")  # formats whose EXIF orientation OpenCV obeys
MIRRORED = (2, 3, 4)  # orientations that keep width and height

Item = TypeVar("Item")


def sample(items: Sequence[Item], count: int) -> Sequence[Item]:
    """As many of the items, the same ones each time; all where there are no more."""
    return items if len(items) <= count else random.Random(0).sample(items, count)


def loaded_size(header: Header, *, obey_exif: bool) -> tuple[int, int]:
    """(width, height) in px of a picture as a pipeline loads it."""
    if obey_exif and header.turned and header.format in OBEYED:
        return header.height, header.width
    return header.width, header.height


def check_pictures(
    folder: str,
    sizes: Mapping[str, tuple[int, int] | None],
    *,
    key: str,
    obey_exif: bool = True,
    decoder: str = "cv2",
    files: Mapping[str, int] | None = None,
) -> Iterator[Finding]:
    """What is wrong with the pictures of a set: names in full, pixels of a sample.

    Args:
        folder (str): Where they are.
        sizes (Mapping[str, tuple]): (width, height) that the annotations state, if
            they do, by file name relative to the folder.
        key (str): The config's key of the folder.
        obey_exif (bool): Whether the pipeline turns pictures as their EXIF data say;
            mmcv does so unless told otherwise. Defaults to True.
        decoder (str): The pipeline's, 'cv2' or 'pillow'. Defaults to 'cv2'.
        files (Mapping[str, int], optional): Bytes of the files in the folder, where
            these are known. Defaults to None: it is looked at.
    """
    files = list_files(folder) if files is None else files
    missing, empty = [], []
    for name in sizes:
        bytes_ = _bytes(folder, name, files)
        if bytes_ is None:
            missing.append(name)
        elif bytes_ == 0:
            empty.append(name)
    yield from missing_files(missing, files, folder, key)
    if empty:
        cure = "copy them again; the copy broke off"
        what = "empty files (0 bytes), or links to nowhere"
        yield Finding("error", folder, what, cure, len(empty), first(empty))
    there = sorted(sizes.keys() - {*missing, *empty})
    readable: list[str] = []
    yield from _check_headers(folder, sizes, there, obey_exif, readable)
    yield from _check_pixels(folder, readable, decoder)


def _bytes(folder: str, name: str, files: Mapping[str, int]) -> int | None:
    if name in files:
        return files[name]
    path = os.path.join(folder, name)  # perhaps absolute, or with '..'
    inside = not os.path.isabs(name) and os.path.normpath(name) == name
    if (inside and ".." not in name) or not os.path.isfile(path):
        return None
    return os.path.getsize(path)


def missing_files(
    missing: Iterable[str], files: Mapping[str, int], folder: str, key: str
) -> Iterator[Finding]:
    """The finding of files that a folder lacks, with a guess why."""
    missing = sorted(missing)
    if not missing:
        return
    cure = f"copy them there, or set {key} to their folder"
    lower = {name.lower(): name for name in files}
    bases = {os.path.basename(name): name for name in files}
    stems = {os.path.splitext(name)[0]: name for name in files}
    name = missing[0]
    if (found := name.replace("\\", "/")) in files:
        cure = f"write / for \\ in names, as in {found}"
    elif found := lower.get(name.lower()):
        cure = f"write names as the files have them: {found} is there"
    elif found := bases.get(os.path.basename(name)):
        cure = f"set {key} so that it and the name give the path; {found} is there"
    elif found := stems.get(os.path.splitext(name)[0]):
        cure = f"write names with the suffix of the files: {found} is there"
    what = "files that are missing"
    yield Finding("error", folder, what, cure, len(missing), first(missing))


def _check_headers(
    folder: str,
    sizes: Mapping[str, tuple[int, int] | None],
    names: Sequence[str],
    obey_exif: bool,
    readable: list[str],
) -> Iterator[Finding]:
    """Findings about headers; puts the names of pictures that have one in a list."""
    tally = Tally()
    for name in watch(sample(names, HEADERS), f"looking at {folder}"):
        try:
            header = read_header(os.path.join(folder, name))
        except ValueError:
            tally.add("no picture", name)
            continue
        if not is_size(header.height, header.width):
            tally.add("vast", f"{name}: {header.width} x {header.height} px")
            continue
        readable.append(name)
        loaded, stated = loaded_size(header, obey_exif=obey_exif), sizes[name]
        stored = header.width, header.height
        if stated is None:
            continue
        if stated != loaded:
            kind = "turned" if stated in (stored, stored[::-1]) else "size"
            kind = kind if header.turned else "size"
            w, h = loaded
            example = f"{name}: {w} x {h} px, not {stated[0]} x {stated[1]}"
            tally.add(kind, example)
        elif header.orientation in MIRRORED and obey_exif:
            tally.add("mirrored", name)
    what = "files that are no pictures, or cut within their header"
    yield from tally.finding("no picture", folder, what, "copy or convert them again")
    what = f"pictures of more than {MAX_SIDE} px a side or {MAX_PIXELS} in all"
    cure = "cut them into pieces: OpenCV, and so the pipeline, reads no larger ones"
    yield from tally.finding("vast", folder, what, cure)
    what = "pictures of another size than the annotations state"
    cure = "annotate these pictures, or write their width and height into the file"
    yield from tally.finding("size", folder, what, cure)
    what = (
        "pictures that EXIF data turn when they are loaded, while they were annotated "
        "as stored, so that boxes and masks lie beside the objects"
        if obey_exif
        else "pictures that were annotated turned as EXIF data say, but are loaded as "
        "stored, so that boxes and masks lie beside the objects"
    )
    cure = (
        "store them upright (exiftran -a, or PIL.ImageOps.exif_transpose), or set "
        "LoadImageFromFile's color_type='color_ignore_orientation' in every pipeline"
        if obey_exif
        else "set LoadImageFromFile's color_type='color' and imdecode_backend='cv2'"
    )
    yield from tally.finding("turned", folder, what, cure)
    what = "pictures that EXIF data turn upside down or mirror when they are loaded"
    cure = "see that annotations were drawn on them as they look then"
    yield from tally.finding("mirrored", folder, what, cure, "warning")


def _check_pixels(folder: str, names: Sequence[str], decoder: str) -> Iterator[Finding]:
    tally = Tally()
    for name in sample(names, PIXELS):
        path = os.path.join(folder, name)
        try:
            with any_size(), Image.open(path) as image:
                image.load()
                deep = image.mode.startswith("I")
        except (OSError, SyntaxError, ValueError):
            tally.add("cut", name)
            continue
        if decoder == "pillow":
            if deep:
                tally.add("deep", name)
        elif cv2.imread(path, cv2.IMREAD_COLOR) is None:
            tally.add("opencv", name)
    what = "pictures that are cut: their pixels cannot be read to the end"
    yield from tally.finding("cut", folder, what, "copy them again")
    what = "pictures that OpenCV, and so the pipeline, cannot read"
    yield from tally.finding("opencv", folder, what, "convert them to JPEG or PNG")
    what = "pictures of 16 bits, which imdecode_backend='pillow' makes white"
    cure = "set LoadImageFromFile's imdecode_backend='cv2' in every pipeline"
    yield from tally.finding("deep", folder, what, cure)


def check_overlap(
    train: Mapping[str, int], val: Mapping[str, int], key: str
) -> Iterator[Finding]:
    """Pictures that are in training and validation: the same path, or the same bytes.

    A name alone says nothing: many sets number their pictures anew in each folder.

    Args:
        train (Mapping[str, int]): Bytes of the files of training, by path.
        val (Mapping[str, int]): The same of validation.
        key (str): The config's key of the validation set.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for path, size in train.items():
        by_size[size].append(path)
    ends: dict[str, bytes] = {}
    same = []
    paths = [path for path, size in val.items() if size and size in by_size]
    for path in watch(sample(paths, COMPARED), "comparing training and validation"):
        for other in by_size[val[path]]:
            if path == other or (
                _end(path, ends) == _end(other, ends)
                and filecmp.cmp(path, other, shallow=False)
            ):
                same.append(path)
                break
    if same:
        what = (
            "files that are in training too, so that scores say how well they are "
            "known by heart"
        )
        cure = "take them out of one of the sets"
        yield Finding("warning", key, what, cure, len(same), first(same))


def _end(path: str, ends: dict[str, bytes]) -> bytes:
    """The last bytes of a file, which differ between nearly all pictures."""
    if path not in ends:
        with open(path, "rb") as file:
            file.seek(-min(256, os.path.getsize(path)), os.SEEK_END)
            ends[path] = file.read()
    return ends[path]
