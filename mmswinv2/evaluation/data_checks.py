"""Whether a data tree is whole, found in seconds: files, counts, a sample of labels."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from .submissions import read_json

SAMPLE = 8  # images that are opened per split
LARGE_FILE = 100 * 2**20  # bytes; parsing COCO's training set takes longer than seconds

# Split: images. COCO 2017 and ADE20K (SceneParse150), as published.
COCO_IMAGES = {"train2017": 118287, "val2017": 5000, "test2017": 40670}
ADE20K_IMAGES = {"training": 20210, "validation": 2000, "testing": 3352}
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
