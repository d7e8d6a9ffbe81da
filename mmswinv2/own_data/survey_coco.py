"""Numbers of a set in COCO's format: pictures, objects, classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks.findings import raise_errors
from .checks.pictures import missing_files
from .files import list_files


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
        content (dict): Of a file in which :func:`check_coco` finds no error.
        path (str | Path): The file, for messages.

    Raises:
        ValueError: Nothing is annotated.
    """
    images = content["images"]
    index = {image["id"]: i for i, image in enumerate(images)}
    names = {category["id"]: category["name"] for category in content["categories"]}
    annotations = [a for a in content["annotations"] if a["image_id"] in index]
    crowds = [a for a in annotations if a.get("iscrowd")]
    objects = [a for a in annotations if not a.get("iscrowd")]
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


def find_pictures(content: dict, folder: str | Path) -> None:
    """Raises where a folder has not all pictures that an annotation file lists.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: With the number of those missing, the first of them, and where files
            of these names are.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder; expected the pictures")
    there = list_files(folder)
    names = [image["file_name"] for image in content["images"]]
    missing = [n for n in names if n not in there and not (Path(folder, n)).is_file()]
    raise_errors(missing_files(missing, there, str(folder), "--images"))
