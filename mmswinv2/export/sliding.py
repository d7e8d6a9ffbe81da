"""MMSegmentation's sliding window over a picture of one size, as a batch of crops."""
# H W the picture, h w a crop, in px

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def starts(length: int, crop: int, stride: int) -> list[int]:
    """Where crops begin along an axis: every stride, the last at the end."""
    last = max(length - crop, 0)
    return [min(start, last) for start in range(0, last + stride, stride)]


def slide(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    crop: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """The mean of the scores of overlapping crops.

    A picture with a side shorter than the crop has crops with that side.

    Args:
        network (Callable): Crops ``(n, 3, h, w)`` -> ``(n, classes, h, w)``.
        x (Tensor): ``(1, 3, H, W)``.
        crop (Sequence[int]): (h, w) in px.
        stride (Sequence[int]): From crop to crop, in px.

    Returns:
        Tensor: ``(1, classes, H, W)``.
    """
    height, width = x.shape[2:]
    h, w = (min(pair) for pair in zip(crop, (height, width)))
    places = [
        (top, left)
        for top in starts(height, h, stride[0])
        for left in starts(width, w, stride[1])
    ]
    crops = [x[..., top : top + h, left : left + w] for top, left in places]
    scores = network(torch.cat(crops))
    count = torch.zeros(height, width)
    total = 0
    for (top, left), one in zip(places, scores.unsqueeze(1)):
        pads = (left, width - left - w, top, height - top - h)
        total = total + F.pad(one, pads)
        count[top : top + h, left : left + w] += 1
    return total / count
