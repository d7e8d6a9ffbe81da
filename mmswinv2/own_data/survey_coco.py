"""Numbers of a set in COCO's format: pictures, objects, classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import list_files

NAMED = 3  # files or ids that a message gives as examples


@dataclass(frozen=True)
class CocoSurvey:
    """What is in some pictures and their annotations.

    Attributes:
        pictures (np.ndarray): Width and height in px, (n, 2).
        counts (np.ndarray): Objects in each picture, (n,); crowds are none.
        sizes (np.ndarray): Root of the area of each object's box in px, (m,).
        shares (np.ndarray): The same over the long side of its picture, (m,).
        classes (dict[str, int]): Objects of each category, in the file's order.
        masks (int): Objects that have a mask.
        crowds (int): Annotations of groups.
    """

    pictures: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray
    shares: np.ndarray
    classes: dict[str, int]
    masks: int
    crowds: int

    @property
    def used(self) -> tuple[str, ...]:
        """Classes that have objects."""
        return tuple(name for name, count in self.classes.items() if count)

    @property
    def empty(self) -> int:
        """Pictures without objects."""
        return int((self.counts == 0).sum())


def survey_coco(content: dict, path: str | Path) -> CocoSurvey:
    """Counts what an annotation file has.

    Args:
        content (dict): Of the file.
        path (str | Path): The file, for messages.

    Raises:
        ValueError: Records lack what no run can do without, or nothing is annotated.
    """
    images, annotations = content["images"], content["annotations"]
    categories = content["categories"]
    _need(images, ("id", "file_name", "width", "height"), path, "images")
    _need(annotations, ("id", "image_id", "category_id", "bbox"), path, "annotations")
    _need(categories, ("id", "name"), path, "categories")
    if not images:
        raise ValueError(f"{path} lists no images")
    index = {image["id"]: i for i, image in enumerate(images)}
    names = {category["id"]: category["name"] for category in categories}
    crowds = [a for a in annotations if a.get("iscrowd")]
    objects = [a for a in annotations if not a.get("iscrowd")]
    _known(objects, "image_id", index.keys(), path)
    _known(objects, "category_id", names.keys(), path)
    if not objects:
        raise ValueError(f"{path} annotates no object in its {len(images)} images")
    pictures = np.array([(i["width"], i["height"]) for i in images], float)
    where = np.array([index[a["image_id"]] for a in objects])
    boxes = np.array([a["bbox"] for a in objects], float).reshape(-1, 4)
    sizes = np.sqrt(boxes[:, 2:].clip(min=0).prod(axis=1))
    found = Counter(names[a["category_id"]] for a in objects)
    return CocoSurvey(
        pictures=pictures,
        counts=np.bincount(where, minlength=len(images)),
        sizes=sizes,
        shares=sizes / pictures.max(axis=1)[where],
        classes={name: found[name] for name in names.values()},
        masks=sum(bool(a.get("segmentation")) for a in objects),
        crowds=len(crowds),
    )


def find_pictures(content: dict, path: str | Path, folder: str | Path) -> None:
    """Raises where a folder has not all pictures that an annotation file lists.

    Raises:
        FileNotFoundError: With the number of those missing, the first of them, and
            where files of these names are.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder; expected the pictures")
    there = list_files(folder)
    names = [image["file_name"] for image in content["images"]]
    missing = [n for n in names if n not in there and not (Path(folder, n)).is_file()]
    if not missing:
        return
    elsewhere = {Path(name).name: name for name in there}
    near = elsewhere.get(Path(missing[0]).name)
    raise FileNotFoundError(
        f"{len(missing)} of {len(names)} pictures of {path} are not in {folder}: "
        f"{', '.join(missing[:NAMED])}{', ...' * (len(missing) > NAMED)}"
        + (
            f"; there is {Path(folder, near)}: file_name must be the path inside the "
            "folder of --images"
            if near
            else "; give the folder that the file names start from"
        )
    )


def _need(
    records: Sequence[dict], keys: Iterable[str], path: str | Path, kind: str
) -> None:
    for key in keys:
        lacking = [i for i, record in enumerate(records) if key not in record]
        if lacking:
            raise ValueError(
                f"{path}: {len(lacking)} of {len(records)} {kind} have no {key!r}, "
                f"such as {kind}[{lacking[0]}]: {records[lacking[0]]!r:.80}"
            )


def _known(
    records: Sequence[dict], key: str, known: Iterable[int], path: str | Path
) -> None:
    known = set(known)
    strange = [r for r in records if r[key] not in known]
    if strange:
        raise ValueError(
            f"{path}: {len(strange)} of {len(records)} annotations have a {key} that "
            f"is not listed: {strange[0][key]!r} of annotation {strange[0]['id']!r}"
        )
