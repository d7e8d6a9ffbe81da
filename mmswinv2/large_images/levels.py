"""A large picture and smaller copies of it, and their tiles.

An object that is longer than two tiles overlap may be whole in none of them. It is
whole in a tile of the copy of half the size, or of half of that, and so forth: the last
copy is seen without tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from .grid import Grid, Span

OVERLAP = 0.25  # of a tile; MMDetection's large_image_demo.py has the same


@dataclass(frozen=True)
class Level:
    """A copy of the picture.

    Attributes:
        size (tuple[int, int]): Its (H, W) in px.
        grid (Grid | None): Its tiles; None for the one that is seen whole.
    """

    size: Span
    grid: Grid | None


def plan_levels(size: Span, tile: int, shrink: float) -> list[Level]:
    """The picture and its copies, each half as large as the one before.

    Args:
        size (tuple[int, int]): (H, W) of the picture.
        tile (int): Side of a tile, in px.
        shrink (float): By what the detector's own scale would shrink the picture.
            No copy is seen whole that it would shrink to less than a half.
    """
    levels: list[Level] = []
    while not levels or (max(size) > tile and shrink > 2):
        grid = Grid.even(size, tile, tile - round(tile * OVERLAP))
        levels.append(Level(size, grid))
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        shrink /= 2
    return [*levels, Level(size, None)]
