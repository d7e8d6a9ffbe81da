"""What a student learns: the map of a teacher, on the student's grid and whitened."""
# B batch, D channels, h w map in tokens

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmswinv2.models.blocks import PATCH_SIZE

Grid = tuple[int, int]  # height and width, in tokens or px


def whiten(features: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of every token, ``(B, D, h, w)``.

    A LayerNorm without scale and shift (arXiv 2205.14141, section 3): teachers differ
    by magnitudes in how large their features are.
    """
    tokens = F.layer_norm(features.movedim(1, -1), features.shape[1:2])
    return tokens.movedim(-1, 1)


def fit_grid(features: Tensor, grid: Grid, image: Grid) -> Tensor:
    """The map of a picture on the student's grid, see :func:`how_it_fits`.

    Args:
        features (Tensor): ``(B, D, h, w)``, over the whole picture.
        grid (tuple[int, int]): Of the student.
        image (tuple[int, int]): Height and width of the picture in px.

    Returns:
        Tensor: ``(B, D, *grid)``.
    """
    given = features.shape[2:]
    if given == grid:
        return features
    axes = zip(grid, given, grid_reach(grid, image))
    rows, columns = (_weights(*axis).to(features) for axis in axes)
    return torch.einsum("bdhw,ih,jw->bdij", features, rows, columns)


def grid_reach(grid: Grid, image: Grid) -> tuple[float, float]:
    """How far the student's tokens go down and right, over the picture's sides.

    More than 1 where a side is no multiple of their stride.
    """

    def of_side(cells: int, length: int) -> float:
        if cells == 1:  # it has what there is, whatever its stride
            return 1.0
        merges = math.ceil(math.log2(max(length / cells / PATCH_SIZE, 1)))
        return cells * (PATCH_SIZE << merges) / length

    return of_side(grid[0], image[0]), of_side(grid[1], image[1])


def how_it_fits(given: Grid, grid: Grid, image: Grid, name: str) -> str:
    """A sentence for the log on what :func:`fit_grid` does, and why.

    Args:
        given (tuple[int, int]): Grid of the teacher.
        grid (tuple[int, int]): Of the student.
        image (tuple[int, int]): Height and width of the picture in px.
        name (str): Of the teacher.
    """
    teacher, student = (
        f"{h} x {w} tokens of {image[0] / h:.3g} x {image[1] / w:.3g} px"
        for h, w in (given, grid)
    )
    grids = f"the teacher {name} gives {teacher}, the student {student}"
    if given == grid:
        return f"{grids}: compared as they are"
    if all(one <= other for one, other in zip(grid, given)):
        return (
            f"{grids}: each token of the student learns the mean of the teacher's in "
            "its square, as it has one vector for all of them; targets are whitened "
            "after that, so that they have the scale that the loss is made for"
        )
    return (
        f"{grids}: the teacher's map is interpolated to the student's tokens, none of "
        "which shall be without a target; targets are whitened after that"
    )


def _weights(cells: int, given: int, reach: float) -> Tensor:
    """What given tokens count in each of some cells along an axis, ``(cells, given)``.

    Larger cells have the mean of what lies in them, smaller ones what is
    interpolated at their centres.
    """
    size = reach / cells
    first, own = torch.arange(cells)[:, None] * size, torch.arange(given) / given
    if size * given < 1:
        centres = (first + size / 2) * given - 0.5
        places = centres.clamp(0, given - 1)
        return (1 - (places - torch.arange(given)).abs()).clamp(min=0)
    overlap = torch.minimum(first + size, own + 1 / given) - torch.maximum(first, own)
    overlap = overlap.clamp(min=0)
    return overlap / overlap.sum(1, keepdim=True)
