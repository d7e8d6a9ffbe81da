"""What samples carry beside their pictures, as tensors of a batch."""
# B pictures, H W grid of tokens

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample
from torch import Tensor


def stack_field(
    samples: Sequence[DataSample], field: str, device: torch.device | str
) -> Tensor:
    """A field of all samples, arrays or tensors of one shape.

    Raises:
        ValueError: If a sample lacks it.
    """
    return torch.stack(_read(samples, field)).to(device, non_blocking=True)


def stack_geometry(samples: Sequence[DataSample], device: torch.device | str) -> Tensor:
    """``geometry`` of samples, see :func:`note`: fp32 ``(B, 2 + n, 3)``.

    Raises:
        ValueError: If a sample lacks it.
    """
    rows = [row.float() for row in _read(samples, "geometry")]
    longest = max(map(len, rows))
    anywhere = torch.tensor([0.0, 0.0, 1.0])  # a limit that is kept everywhere
    rows = [torch.cat((row, anywhere.expand(longest - len(row), 3))) for row in rows]
    return torch.stack(rows).to(device, non_blocking=True)


def grid_reach(
    samples: Sequence[DataSample],
    padded: tuple[int, int],
    size: tuple[int, int],
    stride: int,
) -> Tensor:
    """How far a grid goes right and down, over the width and height of its picture.

    Args:
        samples (Sequence[DataSample]): With ``img_shape``, unless none is padded.
        padded (tuple[int, int]): (height, width) in px of the batch.
        size (tuple[int, int]): (H, W) of the grid.
        stride (int): px of a cell.

    Returns:
        Tensor: ``(B, 2)``, see :func:`sampling_weights`.
    """
    shapes = [sample.get("img_shape", padded)[:2] for sample in samples]
    far = torch.tensor([size[1] * stride, size[0] * stride], dtype=torch.float32)
    return far / torch.tensor(shapes).flip(1)


def _read(samples: Sequence[DataSample], field: str) -> list[Tensor]:
    for sample in samples:
        if field not in sample:
            raise ValueError(
                f"{sample.get('img_path', 'a picture')} comes without {field}: load "
                f"its map in the training pipeline, and name {field!r} among "
                "algorithm_keys of PackInputs"
            )
    return [torch.as_tensor(sample.get(field)) for sample in samples]
