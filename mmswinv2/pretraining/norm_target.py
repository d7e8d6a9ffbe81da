"""What SimMIM of Swin V2 predicts: pixels less the mean around them, over its spread.

The official configs of Swin V2 (SimMIM's code, ``NORM_TARGET``) have it, those of V1
not; neither paper describes it.
"""
# B batch, C colours, H W size in px

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6  # added to the variance


def local_statistics(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the pixels in a window around each pixel.

    Pixels outside of the image do not count; the variance is the unbiased one.

    Args:
        images (Tensor): ``(B, C, H, W)``.
        size (int): Side of the window in px, odd.

    Returns:
        tuple[Tensor, Tensor]: Mean, and root of the variance plus 1e-6, both
        ``(B, C, H, W)`` in fp32.
    """
    # Where a picture is of one colour, the difference of fp32 squares is noise; Apple's
    # GPUs have no more.
    on_apple = images.device.type == "mps"
    images = images.to(torch.float32 if on_apple else torch.float64)
    count = _window_sums(torch.ones_like(images[:1, :1]), size)
    mean = _window_sums(images, size) / count
    variance = _window_sums(images**2, size) / count - mean**2
    variance = (variance * (count / (count - 1))).clamp(min=0)
    return mean.float(), (variance + EPSILON).sqrt().float()


def _window_sums(images: Tensor, size: int) -> Tensor:
    """Sums of the pixels in a window around each, from sums up to its edges."""
    before, after = size // 2 + 1, size // 2
    sums = F.pad(images, (before, after, before, after)).cumsum(2)
    sums = (sums[:, :, size:] - sums[:, :, :-size]).cumsum(3)
    return sums[..., size:] - sums[..., :-size]
