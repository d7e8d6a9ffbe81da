"""The exact labels of a segmentation set as label maps: shares of classes in cells."""
# K classes, H W size in px, h w grid of cells

from __future__ import annotations

import numpy as np


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
        ValueError: If the cell divides no side.
    """
    height, width = labels.shape
    if height % cell or width % cell:
        raise ValueError(
            f"a picture of {height} x {width} px is no grid of cells of {cell} px"
        )
    of_class = labels == np.arange(num_classes)[:, None, None]  # K H W
    cells = of_class.reshape(num_classes, height // cell, cell, width // cell, cell)
    return cells.mean((2, 4), dtype=np.float32)
