"""What a student learns: the map of a teacher, on the student's grid and whitened."""
# B batch, D channels, h w map in tokens

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]  # height and width in tokens


def whiten(features: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of every token, ``(B, D, h, w)``.

    A LayerNorm without scale and shift (arXiv 2205.14141, section 3): teachers differ
    by magnitudes in how large their features are.
    """
    tokens = F.layer_norm(features.movedim(1, -1), features.shape[1:2])
    return tokens.movedim(-1, 1)


def fit_grid(features: Tensor, grid: Grid) -> Tensor:
    """A map ``(B, D, h, w)`` on another grid, see :func:`how_it_fits`."""
    given = features.shape[2:]
    if given == grid:
        return features
    if _is_coarser(grid, given):
        rows, columns = (
            _shares(n, of).to(features) for n, of in zip(grid, given, strict=True)
        )
        return torch.einsum("bdhw,ih,jw->bdij", features, rows, columns)
    return F.interpolate(features, grid, mode="bilinear", antialias=True)


def how_it_fits(given: Grid, grid: Grid, image: Grid) -> str:
    """A sentence for the log on what :func:`fit_grid` does, and why.

    Args:
        given (tuple[int, int]): Grid of the teacher.
        grid (tuple[int, int]): Of the student.
        image (tuple[int, int]): Height and width of the picture in px.
    """
    teacher, student = (
        f"{h} x {w} tokens of {image[0] / h:.3g} x {image[1] / w:.3g} px"
        for h, w in (given, grid)
    )
    grids = f"the teacher gives {teacher}, the student {student}"
    if given == grid:
        return f"{grids}: compared as they are"
    if _is_coarser(grid, given):
        return (
            f"{grids}: each token of the student learns the mean of the teacher's that "
            "lie in its square, as it can give one vector for it; then targets are "
            "whitened, so that they have the scale that the loss is made for"
        )
    return (
        f"{grids}: the teacher's map is interpolated to the student's tokens, of which "
        "none shall be without a target; then targets are whitened"
    )


def _shares(cells: int, given: int) -> Tensor:
    """How much of each of some cells lies in each of given ones, ``(cells, given)``."""
    first, own = torch.arange(cells)[:, None] / cells, torch.arange(given) / given
    overlap = torch.minimum(first + 1 / cells, own + 1 / given)
    return (overlap - torch.maximum(first, own)).clamp(min=0) * cells


def _is_coarser(grid: Grid, given: Grid) -> bool:
    return all(one <= other for one, other in zip(grid, given))
