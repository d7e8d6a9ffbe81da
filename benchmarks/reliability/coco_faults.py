"""A small set in COCO's format, what it says, and all that can be wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

import numpy as np
from pycocotools import mask as coco_mask

CLASSES = ("round", "long")
WIDTH, HEIGHT, PICTURES = 48, 40, 3
Object = tuple[list[int], int, np.ndarray]  # corners in px, label, mask (H, W)

# Rectangles of each picture: x, y, width, height in px. The first is one polygon, the
# second two, the third compressed RLE.
RECTANGLES = ((3, 4, 12, 10), (18, 6, 10, 14), (31, 20, 13, 9))


def truth() -> dict[str, list[Object]]:
    """Objects of each picture, by the name of its file."""
    objects = []
    for number, (x, y, w, h) in enumerate(RECTANGLES):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[y : y + h, x : x + w] = 1
        objects.append(([x, y, x + w, y + h], number % 2, mask))
    return {f"{i}.png": objects for i in range(1, PICTURES + 1)}


def content() -> dict:
    """The annotation file that says so, with a crowd in each picture."""
    images, annotations = [], []
    for i in range(1, PICTURES + 1):
        size = dict(width=WIDTH, height=HEIGHT)
        images.append(dict(id=i, file_name=f"{i}.png", **size))
        for number, (x, y, w, h) in enumerate(RECTANGLES):
            half = h // 2
            parts = [(y, half), (y + half, h - half)] if number == 1 else [(y, h)]
            segmentation: object = [_polygon(x, top, w, rows) for top, rows in parts]
            if number == 2:
                segmentation = _rle(x, y, w, h)
                segmentation["counts"] = _compressed(segmentation)
            annotations.append(_annotation(i, 1 + number % 2, (x, y, w, h)))
            annotations[-1]["segmentation"] = segmentation
        annotations.append(_annotation(i, 1, (0, 35, 20, 5), iscrowd=1))
        annotations[-1]["segmentation"] = _rle(0, 35, 20, 5)
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    return dict(images=images, annotations=annotations, categories=categories)


def _annotation(image: int, category: int, box: tuple, iscrowd: int = 0) -> dict:
    area = box[2] * box[3]
    place = dict(image_id=image, category_id=category)
    return dict(place, bbox=[*box], area=area, iscrowd=iscrowd)


def _polygon(x: int, y: int, w: int, h: int) -> list[int]:
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def _rle(x: int, y: int, w: int, h: int) -> dict:
    counts = [x * HEIGHT + y, *([h, HEIGHT - h] * w)]
    counts[-1] += (WIDTH - x - w) * HEIGHT - y
    return dict(size=[HEIGHT, WIDTH], counts=counts)


def _compressed(rle: dict) -> str:
    return coco_mask.frPyObjects(rle, HEIGHT, WIDTH)["counts"].decode()


# Where a value stands: the record or list that holds it, and its key there.
def _annotations(content: dict, kind: int) -> list[dict]:
    return content["annotations"][kind :: len(RECTANGLES) + 1]


FIELDS: dict[str, Callable[[dict, Random], tuple]] = {
    **{
        f"image {key}": lambda c, r, key=key: (r.choice(c["images"]), key)
        for key in ("id", "file_name", "width", "height")
    },
    **{
        f"annotation {key}": lambda c, r, key=key: (r.choice(_annotations(c, 0)), key)
        for key in (
            *("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
            "segmentation",
        )
    },
    **{
        f"category {key}": lambda c, r, key=key: (r.choice(c["categories"]), key)
        for key in ("id", "name")
    },
    **{
        f"bbox {i}": lambda c, r, i=i: (r.choice(_annotations(c, 0))["bbox"], i)
        for i in range(4)
    },
    "polygon": lambda c, r: (r.choice(_annotations(c, 1))["segmentation"], 0),
    "polygon number": lambda c, r: (
        r.choice(_annotations(c, 1))["segmentation"][r.randrange(2)],
        r.randrange(8),
    ),
    **{
        f"RLE {key}": lambda c, r, key=key: (
            r.choice(_annotations(c, 2))["segmentation"],
            key,
        )
        for key in ("size", "counts")
    },
    "RLE side": lambda c, r: (
        r.choice(_annotations(c, 2))["segmentation"]["size"],
        r.randrange(2),
    ),
    "crowd": lambda c, r: (r.choice(_annotations(c, 3)), "segmentation"),
    "crowd run": lambda c, r: (
        r.choice(_annotations(c, 3))["segmentation"]["counts"],
        r.randrange(20),
    ),
    "crowd side": lambda c, r: (
        r.choice(_annotations(c, 3))["segmentation"]["size"],
        r.randrange(2),
    ),
    "images": lambda c, r: (c, "images"),
    "annotations": lambda c, r: (c, "annotations"),
    "categories": lambda c, r: (c, "categories"),
    "one image": lambda c, r: (c["images"], r.randrange(PICTURES)),
    "one annotation": lambda c, r: (c["annotations"], r.randrange(12)),
    "one category": lambda c, r: (c["categories"], r.randrange(2)),
}
ABSENT = object()
VALUES: dict[str, object] = {
    **{repr(value): value for value in (1e9, -1e9, 1e300, 2**31, 2**63)},
    **{repr(value): value for value in (0, -1, -7, 1.5, 1000, True, None)},
    **{repr(float(value)): float(value) for value in ("nan", "inf", "-inf")},
    **{repr(value): value for value in ("7", "x", "", "\0", "\udcff", "../1.png")},
    **{repr(value): value for value in ([], {}, [1], [[1]], {"a": 1}, [10**9] * 8)},
    "10**400": 10**400,
    "absent": ABSENT,
}
# Values that a field may have; what they say is another thing than the truth.
SOUND = {
    *(("polygon number", value) for value in ("0", "-1", "1.5")),
    *((f"bbox {i}", value) for i in (0, 1) for value in ("0", "-1", "1.5")),
    *((f"bbox {i}", "1.5") for i in (2, 3)),
    ("annotation iscrowd", "True"),
    ("polygon", "absent"),
    ("one annotation", "absent"),
    ("category name", "'7'"),
    ("category name", "'x'"),
}


def spoil_field(content: dict, field: str, value: str, random: Random) -> None:
    """Put a value, one of VALUES, where a field stands."""
    holder, key = FIELDS[field](content, random)
    if VALUES[value] is ABSENT:
        del holder[key]
    else:
        holder[key] = VALUES[value]


def _cut(text: str, random: Random) -> str:
    return text[: random.randrange(1, len(text))]


def _double(key: str) -> Callable[[str, Random], str]:
    def double(text: str, random: Random) -> str:
        content = json.loads(text)
        content[key].append(random.choice(content[key]))
        return json.dumps(content)

    return double


# What becomes of the text of the file.
TEXTS: dict[str, Callable[[str, Random], str | bytes]] = {
    "empty file": lambda t, r: "",
    "cut": _cut,
    "cut RLE": lambda t, r: t.replace('"counts": "', '"counts": "~', 1),
    "RLE with a letter more": lambda t, r: t.replace('"}, "id"', '0"}, "id"', 1),
    "a list": lambda t, r: f"[{t}]",
    "a number": lambda t, r: "7",
    "null": lambda t, r: "null",
    "nested 100,000 deep": lambda t, r: "[" * 100_000,
    "nested objects": lambda t, r: '{"images":' * 100_000,
    "no JSON": lambda t, r: "<html>404</html>",
    "UTF-16": lambda t, r: t.encode("utf-16"),
    "UTF-8 with a mark": lambda t, r: t.encode("utf-8-sig"),
    "Latin-1": lambda t, r: t.replace("round", "rösch").encode("latin-1"),
    "zeros": lambda t, r: bytes(1000),
    "flipped bits": lambda t, r: bytes(b ^ 128 for b in t.encode()),
    "a comma more": lambda t, r: t[:-1] + ",}",
    "a number of 5000 digits": lambda t, r: t.replace(
        '"area": 120', f'"area": {"9" * 5000}'
    ),
    "an image twice": _double("images"),
    "an annotation twice": _double("annotations"),
    "a category twice": _double("categories"),
    "keys in capitals": lambda t, r: t.replace('"bbox"', '"BBox"'),
    "corners as boxes": lambda t, r: (
        t.replace("[3, 4, 12, 10]", "[3, 4, 15, 14]")
        .replace("[18, 6, 10, 14]", "[18, 6, 28, 20]")
        .replace("[31, 20, 13, 9]", "[31, 20, 44, 29]")
    ),
    "boxes in shares": lambda t, r: t.replace(
        "[3, 4, 12, 10]", "[0.06, 0.1, 0.2, 0.2]"
    ),
    "ids as text": lambda t, r: t.replace('"image_id": 1', '"image_id": "1"'),
    "names of Windows": lambda t, r: t.replace('"1.png"', '"images\\\\1.png"'),
    "other suffixes": lambda t, r: t.replace('.png"', '.jpg"'),
    "classes in another order": lambda t, r: (
        t.replace("round", "?").replace("long", "round").replace("?", "long")
    ),
}
