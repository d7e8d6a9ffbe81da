"""Small sets of pictures with objects or label maps, for tests to spoil."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from mmswinv2.datasets.mini_scenes import FLOOR, GRASS, SKY

CLASSES = ("round", "long")
WIDTH, HEIGHT = 48, 32  # px


def coco_content(pictures: int = 4, objects: int = 3) -> dict:
    """A sound annotation file: boxes with polygons, the last of a picture with RLE."""
    images, annotations = [], []
    for i in range(1, pictures + 1):
        size = dict(width=WIDTH, height=HEIGHT)
        images.append(dict(id=i, file_name=f"{i:03}.png", **size))
        for j in range(objects):
            x, y, w, h = 4 + 9 * j, 5 + j, 8, 6 + j
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=1 + j % 2,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[polygon],
                )
            )
        if objects:
            annotations[-1]["segmentation"] = rle(x, y, w, h)
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    return dict(images=images, annotations=annotations, categories=categories)


def rle(x: int, y: int, w: int, h: int) -> dict:
    """A box as uncompressed RLE, column by column."""
    counts = [x * HEIGHT + y, *([h, HEIGHT - h] * w)]
    counts[-1] += (WIDTH - x - w) * HEIGHT - y
    return dict(size=[HEIGHT, WIDTH], counts=counts)


def write_picture(path: Path, seed: int = 0, **options: object) -> None:
    """A picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path, **options)


def write_coco(root: Path, content: dict) -> Path:
    """Writes pictures into ``root/images`` and the annotation file beside it."""
    for image in content["images"]:
        write_picture(root / "images" / image["file_name"], seed=image["id"])
    file = root / "annotations.json"
    file.write_text(json.dumps(content))
    return file


def label_map(classes: int = 3) -> np.ndarray:
    """A label map with stripes of all classes and some pixels to ignore."""
    labels = np.repeat(np.arange(WIDTH) % classes, HEIGHT).reshape(WIDTH, HEIGHT).T
    labels = np.ascontiguousarray(labels, np.uint8)
    labels[:2] = 255
    return labels


def write_labels(root: Path, pictures: int = 3) -> None:
    """Writes pictures into ``root/images``, label maps into ``root/labels``."""
    (root / "labels").mkdir(parents=True)
    for i in range(pictures):
        write_picture(root / "images" / f"{i}.png", seed=i)
        Image.fromarray(label_map()).save(root / "labels" / f"{i}.png")


def write_class_folders(root: Path, pictures: int = 8, size: int = 64) -> Path:
    """``train/<class>/*.jpg`` and ``val/<class>/*.jpg`` of floor, grass and sky.

    Colour and grain tell the classes apart, so a small classifier learns them.
    """
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for stuff in (FLOOR, GRASS, SKY):
            folder = root / split / stuff.name
            folder.mkdir(parents=True)
            rows, columns = (max(size // grain, 2) for grain in stuff.grain)
            for i in range(pictures):
                coarse = rng.normal(stuff.colour[::-1], 25, (rows, columns, 3))
                coarse += rng.normal(0, 10, 3)
                picture = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
                picture = picture.resize((size, size), Image.Resampling.BICUBIC)
                picture.save(folder / f"{i}.jpg")
    return root
