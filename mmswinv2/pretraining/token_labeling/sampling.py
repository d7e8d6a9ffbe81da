"""Label maps, or any maps, as the tokens of an augmented picture see them."""
# B pictures, C channels, h w grid of a map, H W grid of tokens, P points of a cell

from __future__ import annotations

import math

import torch
from torch import Tensor


def sample_maps(
    maps: Tensor, geometry: Tensor, size: tuple[int, int], reach: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The mean of a map over each cell of a grid over the picture.

    Args:
        maps (Tensor): ``(B, C, h, w)``, each over its whole picture.
        geometry (Tensor): ``(B, 2 + n, 3)``, see :func:`note`: from positions in the
            picture as it is now to positions in the file's, and where it shows that.
        size (tuple[int, int]): (H, W) of the grid.
        reach (Tensor, optional): ``(B, 2)``, see :func:`sampling_weights`.

    Returns:
        tuple[Tensor, Tensor]: fp32 ``(B, C, H, W)``, and bool ``(B, H, W)``: whether at
        least half of the cell shows the picture. Where none does, values are 0.
    """
    weights, share = sampling_weights(
        geometry, (maps.shape[2], maps.shape[3]), size, reach
    )
    values = torch.einsum("bns,bcs->bcn", weights, maps.float().flatten(2))
    return values.unflatten(2, size), (share >= 0.5).unflatten(1, size)


def sampling_weights(
    geometry: Tensor,
    grid: tuple[int, int],
    size: tuple[int, int],
    reach: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """How much each cell of a map counts in each cell of a grid over the picture.

    A cell is the mean of the points in it that the picture shows, each bilinear between
    the centres of the map's cells.

    Args:
        geometry (Tensor): As of :func:`sample_maps`.
        grid (tuple[int, int]): (h, w) of the map.
        size (tuple[int, int]): (H, W) of the grid of tokens.
        reach (Tensor, optional): ``(B, 2)``, how far right and down the grid goes,
            over the picture's width and height; above 1 where its last cells go beyond
            the picture, or where the picture is padded. Defaults to None: 1.

    Returns:
        tuple[Tensor, Tensor]: fp32 ``(B, H * W, h * w)``, rows of sum 1, or 0 where
        nothing is shown; and ``(B, H * W)``, the share of points that are shown.
    """
    geometry = geometry.float()
    if reach is None:
        reach = geometry.new_ones(len(geometry), 2)
    # B, H * P, W * P, (x, y)
    points = [max(2, math.ceil(grid[axis] / size[axis])) for axis in (0, 1)]
    y, x = (
        (torch.arange(n, device=geometry.device) + 0.5) / n
        for n in (size[0] * points[0], size[1] * points[1])
    )
    now = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    now = now * reach[:, None, None]
    functions = torch.einsum("bij,byxj->byxi", geometry[..., :2], now)
    functions = functions + geometry[:, None, None, :, 2]
    there, limits = functions[..., :2], functions[..., 2:]
    within = [(p >= 0) & (p <= 1) for p in (now, there)]
    shown = torch.cat((*within, limits >= 0), -1).all(-1)
    x, y = there.unbind(-1)
    weights = _hats(y, grid[0]), _hats(x, grid[1])
    cells = (len(geometry), size[0], points[0], size[1], points[1])
    rows, columns = (
        w.unflatten(1, cells[1:3]).unflatten(3, cells[3:]) for w in weights
    )
    shown = shown.reshape(cells).float()
    summed = torch.einsum("bipjq,bipjqh,bipjqw->bijhw", shown, rows, columns)
    count = shown.sum((2, 4))
    summed = summed / count.clamp(min=1)[..., None, None]
    share = count / (points[0] * points[1])
    return summed.flatten(1, 2).flatten(2), share.flatten(1)


def _hats(positions: Tensor, length: int) -> Tensor:
    """``(..., length)``: weights of cells' centres at relative positions, at most two.

    Between the border and the first centre that centre counts alone.
    """
    places = (positions * length - 0.5).clamp(0, length - 1)
    centres = torch.arange(length, device=positions.device)
    return (1 - (places[..., None] - centres).abs()).clamp(min=0)
