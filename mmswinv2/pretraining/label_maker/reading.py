"""Pictures as a teacher sees them: whole, squashed to its size."""
# H W px

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from mmswinv2.pictures import as_host_picture


class Rows(NamedTuple):
    """Pictures of some rows of a store."""

    rows: list[int]
    images: Tensor  # (n, 3, H, W) uint8, RGB; zeros where one cannot be read
    faults: dict[int, str]  # why, by rows


def read_squashed(
    path: str | Path,
    size: tuple[int, int],
    *,
    interpolation: str = "bicubic",
    exif_rotation: bool = False,
) -> np.ndarray:
    """Pixels of a file, resized to a size whatever its own ratio is.

    Args:
        path (str | Path): The file.
        size (tuple[int, int]): (H, W).
        interpolation (str): Name in Pillow, in small letters. Defaults to 'bicubic'.
        exif_rotation (bool): Whether to turn it as its EXIF says. Defaults to False.

    Returns:
        ndarray: ``(H, W, 3)`` uint8, RGB.

    Raises:
        ValueError: If it cannot be read, is no picture, or not all of one. The message
            has the reason, not the path.
    """
    try:
        with Image.open(path) as opened:
            if opened.mode.startswith("I"):  # 16 bits, which Pillow would cut off
                picture = Image.fromarray(as_host_picture(opened)[..., ::-1])
            else:
                upright = ImageOps.exif_transpose(opened) if exif_rotation else opened
                picture = upright.convert("RGB")
        resampling = Image.Resampling[interpolation.upper()]
        return np.asarray(picture.resize(size[::-1], resampling))
    except UnidentifiedImageError as error:
        raise ValueError("is no picture") from error
    except Exception as error:  # Pillow raises many kinds over damaged files
        raise ValueError(f"cannot be read: {error}") from error


class SquashedPictures(Dataset):
    """Pictures by rows, for a data loader whose batches are blocks of rows.

    Args:
        folder (str | Path): That paths are relative to.
        paths (Sequence[str | None]): Of each row; None where there is no picture.
        size (tuple[int, int]): (H, W).
        **options (Any): Of :func:`read_squashed`.
    """

    def __init__(
        self,
        folder: str | Path,
        paths: Sequence[str | None],
        size: tuple[int, int],
        **options: Any,
    ) -> None:
        self.folder, self.paths, self.size = Path(folder), paths, size
        self.options = options

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[int, Tensor, str]:
        path = self.paths[row]
        fault = ""
        pixels = np.zeros((*self.size, 3), np.uint8)
        if path is not None:
            try:
                pixels = read_squashed(self.folder / path, self.size, **self.options)
            except ValueError as error:
                fault = str(error)
        return row, torch.from_numpy(pixels.copy()).permute(2, 0, 1), fault


def collate(samples: Sequence[tuple[int, Tensor, str]]) -> Rows:
    """A batch of :class:`SquashedPictures`."""
    rows, images, faults = zip(*samples)
    named = {row: fault for row, fault in zip(rows, faults) if fault}
    return Rows([*rows], torch.stack(images), named)
