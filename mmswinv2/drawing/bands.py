"""Pictures band by band, so that what is computed of them takes little memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

AT_ONCE = 2**22  # px


def bands(size: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a picture (H, W, ...), some million px at a time."""
    rows = max(AT_ONCE // max(size[1], 1), 1)
    return (slice(top, top + rows) for top in range(0, size[0], rows))


def count_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many px of a map (H, W) have each label; those of no class are left out."""
    counts = np.zeros(classes, np.int64)
    for band in bands(labels.shape):
        part = labels[band].ravel().astype(np.int64)
        counts += np.bincount(part[part < classes], minlength=classes)
    return counts


def to_array(image: Image.Image) -> np.ndarray:
    """Pixels of a picture of Pillow, ``(H, W, 3)``, without copies of all of them."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for band in bands(pixels.shape):
        bottom = min(band.stop, image.height)
        pixels[band] = np.asarray(image.crop((0, band.start, image.width, bottom)))
    return pixels
