"""The exact labels of a segmentation set as label maps: shares of classes in cells."""
# K classes, H W size in px, h w grid of cells

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmswinv2.pretraining.map_store import (
    PROBABILITIES,
    TOKEN_LABELS,
    MapSpec,
    MapStore,
    begin_store,
    find_pictures,
)

TEACHER = dict(kind="people", name="dense labels", weights="")


def class_shares(labels: np.ndarray, num_classes: int, cell: int) -> np.ndarray:
    """How much of each cell is of each class.

    Pixels of no class count for none, so that a cell of such pixels alone is all 0.

    Args:
        labels (ndarray): ``(H, W)``, class ids; others are of no class.
        num_classes (int): K.
        cell (int): Side of a cell in px, which divides H and W.

    Returns:
        ndarray: fp32 ``(K, h, w)``.

    Raises:
        ValueError: If the cell does not divide both sides.
    """
    height, width = labels.shape
    if height % cell or width % cell:
        raise ValueError(
            f"a picture of {height} x {width} px is no grid of cells of {cell} px"
        )
    of_class = labels == np.arange(num_classes)[:, None, None]  # K H W
    cells = of_class.reshape(num_classes, height // cell, cell, width // cell, cell)
    return cells.mean((2, 4), dtype=np.float32)


def write_exact_labels(
    pictures: Path, labels: Path, classes: Sequence[str], out: Path, cell: int
) -> None:
    """Make a store of a set's labels, unless there is one of these pictures already.

    Args:
        pictures (Path): Folder of pictures of one size.
        labels (Path): Folder of their label images, PNG files of the same stems.
        classes (Sequence[str]): Names of the classes.
        out (Path): Folder of the store.
        cell (int): Side of a cell in px.

    Raises:
        ValueError: If there is a store of other pictures, or of other cells.
    """
    found = find_pictures(pictures)

    def shares(path: str) -> np.ndarray:
        file = (labels / path).with_suffix(".png")
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        return class_shares(image, len(classes), cell)

    grid = shares(found[0].path).shape[1:]
    if out.is_dir():
        store = MapStore(out)
        store.check(classes=classes, data=pictures)
        if store.grid == grid:
            return
        raise ValueError(f"{out} has maps of {store.grid}, not {grid}; remove it")
    spec = MapSpec(
        TOKEN_LABELS,
        teacher=TEACHER,
        grid=grid,
        num_classes=len(classes),
        classes=tuple(classes),
        top_k=len(classes),
        values=PROBABILITIES,
    )
    writer = begin_store(out, spec, found, block=1)
    ids = np.broadcast_to(np.arange(len(classes))[:, None, None], (len(classes), *grid))
    for row, picture in enumerate(found):
        maps = dict(values=shares(picture.path)[None], ids=ids[None])
        writer.write([row], maps)
    writer.finish()
