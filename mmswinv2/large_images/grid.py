"""Where tiles lie on a picture."""
# H W of the picture, h w of a tile, in px

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil

Span = tuple[int, int]  # from the first px to the one after the last; or two lengths
Tile = tuple[Span, Span]  # rows and columns


def spans(length: int, tile: int, stride: int) -> list[Span]:
    """Tiles along an axis, as MMSegmentation's sliding window has them.

    The last one ends with the picture, and so may overlap its neighbour by more.

    Args:
        length (int): Of the axis, in px.
        tile (int): Length of a tile in px; an axis that is shorter has one tile.
        stride (int): From a tile to the next, in px.
    """
    count = max(length - tile + stride - 1, 0) // stride + 1
    ends = [min(i * stride + tile, length) for i in range(count)]
    return [(max(end - tile, 0), end) for end in ends]


def even_stride(length: int, tile: int, stride: int) -> int:
    """The stride, no longer than ``stride``, at which all tiles overlap alike."""
    count = len(spans(length, tile, stride))
    return ceil((length - tile) / (count - 1)) if count > 1 else stride


@dataclass(frozen=True)
class Grid:
    """Tiles of a picture.

    Attributes:
        size (tuple[int, int]): (H, W) of the picture.
        tile (tuple[int, int]): (h, w) of a tile.
        stride (tuple[int, int]): From a tile to the next one, in px.
    """

    size: Span
    tile: Span
    stride: Span

    @classmethod
    def even(cls, size: Span, tile: int, stride: int) -> Grid:
        """Square tiles that overlap alike, at strides that are no longer than given."""
        down, along = (even_stride(length, tile, stride) for length in size)
        return cls(size, (tile, tile), (down, along))

    @cached_property
    def rows(self) -> list[Span]:
        """Tiles from top to bottom."""
        return spans(self.size[0], self.tile[0], self.stride[0])

    @cached_property
    def columns(self) -> list[Span]:
        """Tiles from left to right."""
        return spans(self.size[1], self.tile[1], self.stride[1])

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Tile]:
        """Tiles, row by row."""
        return ((rows, columns) for rows in self.rows for columns in self.columns)

    @property
    def transposed(self) -> Grid:
        """The same with rows and columns exchanged."""
        return Grid(*(pair[::-1] for pair in (self.size, self.tile, self.stride)))

    @property
    def overlap(self) -> int:
        """Rows that a row of tiles shares with the next one, at most."""
        rows = self.rows
        return max(((a[1] - b[0]) for a, b in pairwise(rows)), default=0)


def batches(grid: Grid, batch: int) -> Iterator[list[Tile]]:
    """Tiles of a grid, so many at a time."""
    tiles = [*grid]
    return (tiles[i : i + batch] for i in range(0, len(tiles), batch))
