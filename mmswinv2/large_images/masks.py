"""Masks of objects in a large picture, each in its own box and compressed."""
# n objects, H W of the picture, h w of a box, in px

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask


@dataclass(frozen=True)
class Piece:
    """The mask of one object.

    Attributes:
        x (int): Column of its box, in px.
        y (int): Row of its box, in px.
        rle (dict): The mask in the box, as pycocotools compresses it.
    """

    x: int
    y: int
    rle: dict

    def bitmap(self) -> np.ndarray:
        """The mask in the box, ``(h, w)`` of 8 bits."""
        return coco_mask.decode(self.rle)


class CroppedMasks:
    """Masks of n objects, as a field of ``InstanceData``.

    A mask takes some hundred bytes, whatever the size of the picture. Objects are
    chosen by slices, and so by all that ``InstanceData`` takes.

    Args:
        size (tuple[int, int]): (H, W) of the picture.
        pieces (Sequence[Piece]): One per object.
    """

    def __init__(self, size: tuple[int, int], pieces: Sequence[Piece]) -> None:
        self.size = size
        self.pieces = list(pieces)

    @classmethod
    def cut_out(
        cls,
        bitmaps: np.ndarray,
        size: tuple[int, int],
        *,
        at: tuple[int, int] = (0, 0),
        scale: tuple[float, float] = (1.0, 1.0),
    ) -> CroppedMasks:
        """From masks of a tile, or of a picture that was made smaller.

        Args:
            bitmaps (ndarray): ``(n, h, w)``.
            size (tuple[int, int]): (H, W) of the picture.
            at (tuple[int, int]): Row and column of their corner, in px of theirs.
            scale (tuple[float, float]): Height and width of the picture, by theirs.
        """
        pieces = []
        each: Any = bitmaps.astype(np.uint8)
        for bitmap in each:
            x, y, w, h = cv2.boundingRect(bitmap)
            bitmap = bitmap[y : y + h, x : x + w]
            top, left = (y + at[0]) * scale[0], (x + at[1]) * scale[1]
            if scale != (1.0, 1.0) and bitmap.size:
                to = (max(round(w * scale[1]), 1), max(round(h * scale[0]), 1))
                bitmap = cv2.resize(bitmap * 255, to) > 127
            top, left = min(round(top), size[0]), min(round(left), size[1])
            bitmap = bitmap[: size[0] - top, : size[1] - left]
            rle = coco_mask.encode(np.asfortranarray(bitmap, np.uint8))
            pieces.append(Piece(left, top, rle))
        return cls(size, pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, chosen: slice) -> CroppedMasks:
        return CroppedMasks(self.size, self.pieces[chosen])

    @staticmethod
    def cat(several: Sequence[CroppedMasks]) -> CroppedMasks:
        """Joins masks of one picture."""
        pieces = chain.from_iterable(masks.pieces for masks in several)
        return CroppedMasks(several[0].size, list(pieces))

    def encoded(self) -> list[dict]:
        """Masks of the whole picture as COCO's results have them, for JSON."""
        return [self._encode(piece) for piece in self.pieces]

    def _encode(self, piece: Piece) -> dict:
        height, width = self.size
        bitmap = piece.bitmap()
        h, w = bitmap.shape
        strip = np.zeros((height, w), bool)  # the columns of its box
        strip[piece.y : piece.y + h] = bitmap
        # Runs of zeros and ones take turns, column by column, zeros first
        flat = np.concatenate(([False], strip.ravel(order="F"), [False]))
        ends = np.flatnonzero(flat[1:] != flat[:-1]) + piece.x * height
        if not len(ends) or ends[-1] < height * width:
            ends = np.append(ends, height * width)
        counts = np.diff(ends, prepend=0).tolist()
        rle = coco_mask.frPyObjects(dict(size=self.size, counts=counts), *self.size)
        return dict(size=rle["size"], counts=rle["counts"].decode())
