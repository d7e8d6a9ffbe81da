"""Whether a picture is cut into tiles, of what size, and how many run at once."""
# C channels of scores; H W of the picture, in px

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import torch
from rich.filesize import decimal

from .grid import Grid, Span
from .labels import label_dtype
from .levels import plan_levels

SHRINK = 6.0  # a picture that a test would shrink by more has too much to lose
SHARE = dict(cpu=0.5)  # of the free memory; a GPU has nothing else to do
SHARE_ELSEWHERE = 0.9
SMALLEST = 96  # px; tiles do not shrink below it
LEAST = 64  # px; MMDetection's RPN fails over a map of one place with one anchor
ALIGNED = 32  # px; lengths that every stage of the backbone divides
MOST = 16  # tiles in a batch
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "Insufficient memory")
FLOAT = 4  # bytes

OnTile = Callable[[int, int], None]  # takes how many tiles are done, of how many


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
        tile (int): Side of a tile, in px.
        stride (float): From a tile to the next one, of a tile's side, at most.
        batch (int): Tiles that run at once.
        slide (tuple, optional): The crop and stride (h, w) of a config that says them,
            in px, which are taken as they are.
    """

    tile: int
    stride: float
    batch: int = 1
    slide: tuple[Span, Span] | None = None

    def grid(self, size: Span) -> Grid:
        """Tiles of a picture (H, W)."""
        if self.slide:
            return Grid(size, *self.slide)
        stride = max(round(self.tile * self.stride), 1)
        return Grid.even(size, self.tile, stride)

    @property
    def smaller(self) -> Tiling | None:
        """The next one where this one does not fit: a batch, then a tile."""
        if self.batch > 1:
            return replace(self, batch=self.batch // 2)
        tile = int(self.tile * 0.75) // ALIGNED * ALIGNED
        return replace(self, tile=tile, slide=None) if tile >= SMALLEST else None


@dataclass(frozen=True)
class Costs:
    """What a model takes, in bytes.

    Attributes:
        px (float): A pass, per px that the network sees.
        channels (int): C of a segmentor's scores; 0 of a detector.
        masks (int): Masks of whole pictures that a detector makes in a pass.
    """

    px: float
    channels: int
    masks: int

    def whole(self, size: Span, shrink: float) -> float:
        """A picture without tiles, beside its pixels."""
        pixels = size[0] * size[1]
        seen = pixels / shrink**2
        # A segmentor's largest score and label so far, and two channels of scores
        results = 24 if self.channels else self.masks
        return self.px * seen + self.channels * FLOAT * seen + results * pixels

    def tiled(self, size: Span, tiling: Tiling, shrink: float) -> float:
        """A picture in tiles, beside its pixels."""
        if not self.channels:
            each = tiling.tile**2
            last = plan_levels(size, tiling.tile, shrink)[-1].size
            masks = self.masks * max(each * tiling.batch, last[0] * last[1])
            return self.px * each * max(tiling.batch, 2) + masks + size[0] * size[1]
        grid = tiling.grid(size)
        grid = grid.transposed if is_wide(size) else grid
        each = prod(grid.tile)
        sums = grid.overlap * grid.size[1] + 4 * each
        label = label_dtype(self.channels).itemsize
        scores = self.channels * FLOAT * (sums + each * tiling.batch)
        return self.px * each * tiling.batch + scores + label * size[0] * size[1]


def is_wide(size: Span) -> bool:
    """Whether columns of tiles, one after the other, take less memory than rows."""
    return size[1] > 2 * size[0]


def budget(free: int, device: torch.device) -> float:
    """Of the free bytes, those to plan with."""
    return free * SHARE.get(device.type, SHARE_ELSEWHERE)


def fit(
    tiling: Tiling,
    size: Span,
    *,
    costs: Costs,
    shrink: float,
    free: int,
    device: torch.device,
    fixed: bool,
) -> Tiling:
    """The largest tiles, and then the largest batch, that fit.

    Args:
        tiling (Tiling): The wish, with a batch of one.
        size (tuple[int, int]): (H, W) of the picture.
        costs (Costs): Of the model.
        shrink (float): By what a test would shrink the picture.
        free (int): Bytes.
        device (torch.device): Where the model is; a CPU runs one tile at a time.
        fixed (bool): Whether the tile is the user's.

    Raises:
        RuntimeError: Not even the smallest tiles fit.
    """
    room = budget(free, device)
    while not fixed and costs.tiled(size, tiling, shrink) > room:
        smaller = tiling.smaller
        if smaller is None:
            need = costs.tiled(size, tiling, shrink)
            if need > free:
                raise RuntimeError(does_not_fit(size, tiling, need, free))
            break
        tiling = smaller
    while device.type != "cpu" and tiling.batch < MOST:
        larger = replace(tiling, batch=tiling.batch * 2)
        if costs.tiled(size, larger, shrink) > room:
            break
        tiling = larger
    return tiling


def does_not_fit(size: Span, tiling: Tiling, need: float = 0, free: float = 0) -> str:
    """One sentence on a picture that is too large."""
    reason = f" (about {decimal(int(need))}; {decimal(int(free))} are free)" * bool(
        need
    )
    return (
        f"a picture of {size[1]} x {size[0]} px does not fit into memory{reason}, not "
        f"even in tiles of {tiling.tile} px; make it smaller, or cut it into pictures"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, of whatever library."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in OUT_OF_MEMORY
    )
