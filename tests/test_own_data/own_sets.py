"""Small sets of pictures as users have them, for the tests of what is made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_picture(path: Path, size: tuple[int, int] = (64, 48)) -> None:
    """A picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*path.name.encode()])
    pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def coco_content(
    counts: Sequence[int],
    *,
    names: Sequence[str] = ("cat", "dog"),
    size: tuple[int, int] = (64, 48),
    side: float = 12,
    masks: bool = True,
    folder: str = "",
) -> dict:
    """Annotations of pictures with given numbers of square objects."""
    images, annotations = [], []
    for number, count in enumerate(counts):
        file = f"{folder}{number:03d}.png"
        images.append(dict(id=7 * number, file_name=file, width=size[0]))
        images[-1]["height"] = size[1]
        for _ in range(count):
            index = len(annotations)
            x = (5 * index) % (size[0] - side + 1)
            y = (3 * index) % (size[1] - side + 1)
            corners = [x, y, x + side, y, x + side, y + side, x, y + side]
            box = dict(bbox=[x, y, side, side], area=side**2, iscrowd=0)
            box |= dict(id=index + 1, image_id=7 * number)
            box["category_id"] = 3 + 2 * (index % len(names))
            annotations.append(box | dict(segmentation=[corners]) if masks else box)
    categories = [dict(id=3 + 2 * i, name=name) for i, name in enumerate(names)]
    return dict(images=images, annotations=annotations, categories=categories)


def write_coco(root: Path, content: dict, name: str = "train") -> tuple[Path, Path]:
    """A set in COCO's format: its annotations and the folder of its pictures."""
    folder = root / name
    for image in content["images"]:
        write_picture(folder / image["file_name"], (image["width"], image["height"]))
    file = root / f"{name}.json"
    file.write_text(json.dumps(content))
    return file, folder


def write_labels(
    root: Path,
    count: int = 5,
    *,
    values: Sequence[int] = (0, 1, 2),
    ends: tuple[str, str] = (".jpg", ".png"),
    size: tuple[int, int] = (64, 48),
) -> tuple[Path, Path]:
    """Pictures and label maps in bands of some values: two folders."""
    images, labels = root / "images", root / "labels"
    bands = np.repeat(values, -(-size[1] // len(values)))[: size[1], None]
    for number in range(count):
        write_picture(images / f"{number:03d}{ends[0]}", size)
        labels.mkdir(parents=True, exist_ok=True)
        pixels = np.broadcast_to(bands, size[::-1]).astype(np.uint8)
        Image.fromarray(pixels).save(labels / f"{number:03d}{ends[1]}")
    return images, labels
