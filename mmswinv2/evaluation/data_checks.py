"""Whether a data tree is whole, found in seconds: files, counts, a sample of labels."""

import hashlib
import os
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .benchmarks import IMAGENET_V2, IMAGENET_V2_FOLDER, IMAGENET_V2_IMAGES
from .submissions import read_json

SAMPLE = 8  # images that are opened per split
LARGE_FILE = 100 * 2**20  # bytes; parsing COCO's training set takes longer than seconds

# Split: images. COCO 2017 and ADE20K (SceneParse150), as published.
COCO_IMAGES = {"train2017": 118287, "val2017": 5000, "test2017": 40670}
ADE20K_IMAGES = {"training": 20210, "validation": 2000, "testing": 3352}
IMAGENET_IMAGES = {"train": 1281167, "val": 50000}  # of ImageNet-1K, ILSVRC 2012
V2_IMAGES = dict.fromkeys(IMAGENET_V2.values(), IMAGENET_V2_IMAGES)
CLASSES = 1000  # of both
# SHA-256 of their WordNet ids, sorted, with a line feed between two
WORDNET_IDS = "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"
COCO_TEST_FILE = "image_info_test-dev2017.json"


def check_coco(root: Path, split: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Checks of one split of COCO, each a name and a function.

    The function returns what it found, or raises ValueError or FileNotFoundError.

    Args:
        root (Path): Folder of ``annotations/`` and ``val2017/``.
        split (str): 'train2017', 'val2017' or 'test2017'.
    """
    folder = root / split
    name = COCO_TEST_FILE if split == "test2017" else f"instances_{split}.json"
    file = root / "annotations" / name
    yield f"{split}/", lambda: _count(folder, ".jpg", COCO_IMAGES[split])
    yield f"{split}/ sample", lambda: _open_some(folder, ".jpg")
    yield f"annotations/{name}", lambda: _check_annotations(file, folder)
    stuff = root / "stuffthingmaps" / split
    if stuff.is_dir():  # HTC's semantic branch
        yield f"stuffthingmaps/{split}/", lambda: _pairs(folder, stuff)


def check_ade20k(root: Path, split: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Checks of one split of ADE20K, as :func:`check_coco`.

    Args:
        root (Path): Folder of ``images/`` and ``annotations/``; that of ``testing/``
            for 'testing'.
        split (str): 'training', 'validation' or 'testing'.
    """
    test = split == "testing"
    images = root / "testing" if test else root / "images" / split
    name = images.relative_to(root)
    yield f"{name}/", lambda: _count(images, ".jpg", ADE20K_IMAGES[split])
    yield f"{name}/ sample", lambda: _open_some(images, ".jpg")
    if not test:
        labels = root / "annotations" / split
        yield f"annotations/{split}/", lambda: _pairs(images, labels)
        yield f"annotations/{split}/ sample", lambda: _check_labels(images, labels)


def check_imagenet(root: Path, split: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Checks of one split of ImageNet-1K, as :func:`check_coco`.

    Args:
        root (Path): Folder of ``train/`` and ``val/``, each with a folder per WordNet
            id.
        split (str): 'train' or 'val'.
    """
    images, alike = IMAGENET_IMAGES[split], split == "val"
    yield from _check_class_folders(root / split, images, alike=alike, numbered=False)


def check_imagenet_v2(
    root: Path, split: str
) -> Iterator[tuple[str, Callable[[], str]]]:
    """Checks of one variant of ImageNet-V2, as :func:`check_coco`.

    Args:
        root (Path): Folder of ``imagenetv2-<variant>-format-val/``, each with folders 0
            to 999; older releases have WordNet ids.
        split (str): 'matched-frequency', 'threshold0.7' or 'top-images'.
    """
    folder, images = root / IMAGENET_V2_FOLDER.format(split), V2_IMAGES[split]
    yield from _check_class_folders(folder, images, alike=True, numbered=True)


def _check_class_folders(
    folder: Path, images: int, *, alike: bool, numbered: bool
) -> Iterator[tuple[str, Callable[[], str]]]:
    """Names of folders of classes, their pictures, and some of these."""
    pictures = cache(lambda: _list_pictures(folder))
    name = folder.name
    yield f"{name}/ classes", lambda: _check_classes(folder, [*pictures()], numbered)
    yield f"{name}/", lambda: _count_per_class(folder, pictures(), images, alike)
    yield f"{name}/ sample", lambda: _open_of_classes(folder, pictures())


def _list_pictures(folder: Path) -> dict[str, list[str]]:
    """Names of pictures by class."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    return {
        name: [
            file
            for file in os.listdir(folder / name)
            if file.lower().endswith((".jpeg", ".jpg"))
        ]
        for name in classes
    }


def _check_classes(folder: Path, classes: list[str], numbered: bool) -> str:
    if numbered and {*classes} == {*map(str, range(CLASSES))}:
        return f"{CLASSES} classes, by number"
    if hashlib.sha256("\n".join(classes).encode()).hexdigest() != WORDNET_IDS:
        strange = [name for name in classes if not re.fullmatch(r"n\d{8}", name)]
        such_as = f", such as {strange[0]!r}" if strange else ""
        raise ValueError(
            f"{folder} has {len(classes)} folders{such_as}; expected "
            + "the numbers 0 to 999, or " * numbered
            + f"the {CLASSES} WordNet ids of ImageNet-1K, n01440764 to n15075141"
        )
    return f"{CLASSES} classes, by WordNet id"


def _count_per_class(
    folder: Path, pictures: dict[str, list[str]], images: int, alike: bool
) -> str:
    counts = {name: len(files) for name, files in pictures.items()}
    total, each = sum(counts.values()), images // CLASSES
    wrong = [name for name, n in counts.items() if n != each and (alike or not n)]
    if total != images or wrong:
        such_as = f"; {wrong[0]} has {counts[wrong[0]]}" if wrong else ""
        rule = f", {each} in each folder" if alike else ""
        raise ValueError(f"{folder} has {total} of {images} pictures{rule}{such_as}")
    return f"{total} pictures"


def _open_of_classes(folder: Path, pictures: dict[str, list[str]]) -> str:
    paths = {f"{name}/{min(files)}" for name, files in pictures.items() if files}
    chosen = _sample(paths)
    for path in chosen:
        _read(folder / path)
    return f"{len(chosen)} opened"


def _names(folder: Path, suffix: str) -> set[str]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    return {path.stem for path in folder.iterdir() if path.suffix == suffix}


def _count(folder: Path, suffix: str, expected: int) -> str:
    found = len(_names(folder, suffix))
    if found != expected:
        raise ValueError(f"{folder} has {found} of {expected} {suffix} files")
    return f"{found} files"


def _sample(names: set[str]) -> list[str]:
    ordered = sorted(names)
    return random.Random(0).sample(ordered, min(SAMPLE, len(ordered)))


def _open_some(folder: Path, suffix: str) -> str:
    names = _sample(_names(folder, suffix))
    for name in names:
        _read(folder / f"{name}{suffix}")
    return f"{len(names)} opened"


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _check_annotations(file: Path, folder: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    if file.stat().st_size > LARGE_FILE:
        with open(file, "rb") as stream:
            stream.seek(-16, 2)
            if not stream.read().rstrip().endswith(b"}"):
                raise ValueError(f"{file} is truncated: its JSON object does not end")
        return "ends as it should; too large to read in seconds"
    content = read_json(file, dict)
    images = {image["id"]: image for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    missing = {Path(i["file_name"]).stem for i in images.values()}
    missing -= _names(folder, ".jpg")
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of the {len(images)} images in {file.name},"
            f" such as {min(missing)}.jpg"
        )
    for annotation in content.get("annotations", []):
        image = images.get(annotation["image_id"])
        if image is None or annotation["category_id"] not in categories:
            raise ValueError(
                f"{file}: annotation {annotation['id']} is of an unknown image or "
                "category"
            )
        x, y, width, height = annotation["bbox"]
        if min(x, y, width, height) < 0 or (  # the published boxes keep within 1 px
            x + width > image["width"] + 1 or y + height > image["height"] + 1
        ):
            raise ValueError(
                f"{file}: the box of annotation {annotation['id']} leaves its image"
            )
    for image in random.Random(0).sample([*images.values()], min(SAMPLE, len(images))):
        height, width = _read(folder / image["file_name"]).shape[:2]
        if (height, width) != (image["height"], image["width"]):
            raise ValueError(
                f"{folder / image['file_name']} is of {width} x {height} px, but "
                f"{file.name} says {image['width']} x {image['height']} px"
            )
    return f"{len(images)} images, {len(content.get('annotations', []))} annotations"


def _pairs(images: Path, labels: Path) -> str:
    wanted, found = _names(images, ".jpg"), _names(labels, ".png")
    if lacking := wanted - found:
        raise ValueError(
            f"{labels} lacks {len(lacking)} of {len(wanted)} label maps, such as "
            f"{min(lacking)}.png"
        )
    return f"{len(wanted)} label maps"


def _check_labels(images: Path, labels: Path) -> str:
    names = _sample(_names(images, ".jpg"))
    seen: set[int] = set()
    for name in names:
        label, photo = _read(labels / f"{name}.png"), _read(images / f"{name}.jpg")
        if label.ndim != 2 or label.max() > 150:
            raise ValueError(
                f"{labels / name}.png is no label map of SceneParse150: expected one "
                f"channel of 0 (other) to 150, got shape {label.shape} and values up "
                f"to {label.max()}"
            )
        if label.shape != photo.shape[:2]:
            raise ValueError(f"{labels / name}.png has another size than its image")
        seen.update(np.unique(label).tolist())
    return f"{len(names)} opened, {len(seen - {0})} classes"
