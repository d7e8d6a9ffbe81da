"""What is wrong with label maps, and with their use by a config."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmswinv2.datasets.coco_masks import MAX_PIXELS, MAX_SIDE, is_size
from mmswinv2.own_data.files import Header, any_size, list_files, read_header

from .findings import SHOWN, Finding, Tally, first, watch
from .pictures import HEADERS, MIRRORED, OBEYED, loaded_size, missing_files, sample

MAPS = 200  # label maps of a set that are decoded
GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # one channel


@dataclass(frozen=True)
class LabelUse:
    """What a run does with label maps.

    Attributes:
        num_classes (int, optional): Classes that are told apart; without it, values are
            not judged.
        own_classes (bool): Whether the config names them, not the dataset's type.
        reduce_zero_label (bool): Whether 0 is ignored and 1 becomes class 0.
        label_map (Mapping[int, int], optional): New labels of old ones.
        ignore_index (int): The label that losses leave out.
        backend (str): Decodes label maps: 'pillow' (mmseg) or 'cv2' (mmdet).
        obey_exif (bool): Whether pictures are turned as their EXIF data say.
        key (str): The config's key of the dataset.
    """

    num_classes: int | None = None
    own_classes: bool = True
    reduce_zero_label: bool = False
    label_map: Mapping[int, int] | None = None
    ignore_index: int = 255
    backend: str = "pillow"
    obey_exif: bool = True
    key: str = "dataset"

    def learned(self, value: int) -> int:
        """The label that a pixel's value becomes, as the hosts compute it."""
        value %= 256  # mmseg makes bytes of them
        if self.reduce_zero_label:
            value = 255 if value in (0, 255) else value - 1
        return (self.label_map or {}).get(value, value)


def check_labels(
    images: str, labels: str, pairs: Mapping[str, str], use: LabelUse
) -> Iterator[Finding]:
    """What is wrong with label maps: names in full, pixels of a sample.

    Args:
        images (str): The folder of pictures.
        labels (str): The folder of label maps.
        pairs (Mapping[str, str]): Names of label maps, by the names of pictures.
        use (LabelUse): What a run does with them.
    """
    files = list_files(labels)
    missing = {name for name in pairs.values() if name not in files}
    yield from missing_files(missing, files, labels, f"{use.key}.data_prefix")
    there = [(i, m) for i, m in sorted(pairs.items()) if m not in missing]
    tally = Tally()
    sound = []
    for pair in watch(sample(there, HEADERS), f"looking at {labels}"):
        if header := _check_header(images, labels, *pair, use, tally):
            sound.append((pair[1], header))
    yield from _tell_headers(tally, labels, use)
    counts, where = _count_values(labels, sample(sound, MAPS), tally)
    what = "label maps that are cut: their pixels cannot be read to the end"
    yield from tally.finding("cut", labels, what, "copy them again")
    if use.num_classes is not None and counts:
        whole = len(there) <= MAPS
        yield from _check_values(counts, where, labels, use, whole)


def _check_header(
    images: str, labels: str, image: str, label: str, use: LabelUse, tally: Tally
) -> Header | None:
    """The header of a label map whose values can be looked at; counts faults."""
    try:
        header = read_header(os.path.join(labels, label))
    except ValueError:
        tally.add("no picture", label)
        return None
    if not is_size(header.height, header.width):
        tally.add("vast", f"{label}: {header.width} x {header.height} px")
        return None
    if header.format == "JPEG":
        tally.add("lossy", label)
        return None
    grey = header.mode in GREY or (header.mode == "P" and use.backend == "pillow")
    if not grey:
        tally.add("palette" if header.mode == "P" else "colour", label)
        return None
    try:
        picture = read_header(os.path.join(images, image))
    except ValueError:  # told by the check of pictures
        return header
    width, height = loaded_size(picture, obey_exif=use.obey_exif)
    if use.obey_exif and picture.orientation in MIRRORED and picture.format in OBEYED:
        tally.add("mirrored", image)
    if (width, height) != (header.width, header.height):
        example = f"{label}: {header.width} x {header.height} px, not "
        tally.add("size", f"{example}{width} x {height}")
    return header


def _tell_headers(tally: Tally, labels: str, use: LabelUse) -> Iterator[Finding]:
    what = "files that are no pictures, or cut within their header"
    yield from tally.finding("no picture", labels, what, "copy or convert them again")
    what = f"label maps of more than {MAX_SIDE} px a side or {MAX_PIXELS} in all"
    yield from tally.finding(
        "vast", labels, what, "cut them and the pictures in pieces"
    )
    what = (
        "label maps stored as JPEG, whose loss gives wrong values at every border of a "
        "class"
    )
    cure = "write them as PNG from their source; converting the JPEG keeps the errors"
    yield from tally.finding("lossy", labels, what, cure)
    what = "label maps in colour, where one channel of class numbers is expected"
    cure = "write each colour's class number: one channel of 8 bits, PNG"
    yield from tally.finding("colour", labels, what, cure)
    what = "label maps with a palette, which OpenCV reads as colours"
    cure = "set imdecode_backend='pillow' in LoadAnnotations"
    yield from tally.finding("palette", labels, what, cure)
    what = "label maps of another size than the picture as it is loaded"
    cure = (
        "write them in the size of the picture (nearest neighbour); where EXIF data "
        "turn the picture, store it upright"
    )
    yield from tally.finding("size", labels, what, cure)
    what = (
        "pictures that EXIF data turn upside down or mirror when they are loaded, and "
        "their label maps not"
    )
    cure = "see that label maps were drawn on them as they look then"
    yield from tally.finding("mirrored", labels, what, cure, "warning")


def _count_values(
    labels: str, maps: Sequence[tuple[str, Header]], tally: Tally
) -> tuple[dict[int, int], dict[int, list[str]]]:
    """Pixels by value, and the first label maps with each value."""
    counts: dict[int, int] = defaultdict(int)
    where: dict[int, list[str]] = defaultdict(list)
    for name, _ in watch(maps, f"reading {labels}"):
        try:
            with any_size(), Image.open(os.path.join(labels, name)) as image:
                array = np.asarray(image)
        except (OSError, SyntaxError, ValueError):
            tally.add("cut", name)
            continue
        found = zip(*np.unique(array.astype(np.int64), return_counts=True))
        for value, count in found:
            counts[int(value)] += int(count)
            where[int(value)] = [*where[int(value)], name][:SHOWN]
    return counts, where


def _check_values(
    counts: Mapping[int, int],
    where: Mapping[int, Sequence[str]],
    labels: str,
    use: LabelUse,
    whole: bool,
) -> Iterator[Finding]:
    """Findings about the values of label maps.

    Args:
        counts (Mapping[int, int]): Pixels by value.
        where (Mapping[int, Sequence[str]]): Label maps with each value.
        labels (str): Their folder.
        use (LabelUse): What a run does with them.
        whole (bool): Whether these are all label maps, not a sample.
    """
    classes, ignored = use.num_classes or 0, use.ignore_index
    become = {value: use.learned(value) for value in counts}
    strange = [v for v, label in become.items() if not _known(v, label, use)]
    known = {label for v, label in become.items() if v not in strange} - {ignored}
    names = first(f"{where[v][0]}: {v}" for v in sorted(strange)[:SHOWN])
    zero = 255 if use.reduce_zero_label else 0
    if use.reduce_zero_label and _is_plain(counts, classes):
        what = (
            f"holds the labels 0 to {classes - 1}, but reduce_zero_label=True ignores "
            "0 and moves the others down by one"
        )
        cure = f"set reduce_zero_label=False in {use.key} (BaseSegDataset's default)"
        yield Finding("error", labels, what, cure)
        return
    if not use.own_classes and _is_other(counts, classes):
        last = max(counts.keys() - {255})
        what = (
            f"holds only the labels up to {last}, without gaps, but the dataset names "
            f"{classes} classes of its own"
        )
        cure = (
            f"for data of your own, write {use.key}.type='BaseSegDataset', "
            f"metainfo=dict(classes=(...)) with your names, reduce_zero_label=False, "
            "and their number as num_classes of every head"
        )
        yield Finding("error", labels, what, cure)
        return
    if strange == [classes] and not use.reduce_zero_label and 0 not in counts:
        what = f"holds the labels 1 to {classes}, but classes are counted from 0"
        cure = f"set reduce_zero_label=True in {use.key}"
        yield Finding("error", labels, what, cure)
    elif {*counts} == {0, 255} and classes == 2:
        what = (
            "holds only the values 0 and 255; 255 is ignored, so that one class is left"
        )
        yield Finding("error", labels, what, "write the second class as 1, not 255")
    elif strange:
        what = (
            f"values that are no class: {sorted(strange)[:10]}; expected 0 to "
            f"{classes - 1}"
            + (f" (1 to {classes} in the files)" if use.reduce_zero_label else "")
            + f", or {ignored} for pixels to ignore"
        )
        cure = f"write others as 255, or name all classes in {use.key}.metainfo"
        yield Finding("error", labels, what, cure, len(strange), names)
    elif len(known) == 1 and classes > 1 and whole:
        what = f"holds one class alone, of {classes}"
        cure = "look at the values of the label maps; they count classes from 0"
        yield Finding("error" if use.own_classes else "warning", labels, what, cure)
    elif not known:
        what = f"holds no class: every pixel is {zero} or 255, which is ignored"
        yield Finding("error", labels, what, "look at the values of the label maps")
    elif whole and use.own_classes and (bare := {*range(classes)} - known):
        what, cure = "classes without a pixel", "label some, or drop them"
        yield Finding("warning", labels, what, cure, len(bare), first(bare))
    yield from _check_share(counts, become, labels, ignored)


def _known(value: int, label: int, use: LabelUse) -> bool:
    return value < 256 and (
        label == use.ignore_index or 0 <= label < (use.num_classes or 0)
    )


def _is_plain(counts: Mapping[int, int], classes: int) -> bool:
    """Whether all of 0 to classes - 1 occur, and no more."""
    return classes > 1 and counts.keys() - {255} == {*range(classes)}


def _is_other(counts: Mapping[int, int], classes: int) -> bool:
    """Whether values run from 0 or 1 to less than half of the classes, without gaps.

    Those of a large set that was made for the classes leave gaps in any sample.
    """
    values = counts.keys() - {0, 255}
    last = max(values, default=0)
    return 1 < last < classes // 2 and values == {*range(1, last + 1)}


def _check_share(
    counts: Mapping[int, int], become: Mapping[int, int], labels: str, ignored: int
) -> Iterator[Finding]:
    lost = sum(count for value, count in counts.items() if become[value] == ignored)
    share = lost / sum(counts.values())
    if 0.9 < share < 1:
        what = f"{share:.0%} of the pixels are ignored in training and evaluation"
        cure = "where these are background, make that a class of its own"
        yield Finding("warning", labels, what, cure)
