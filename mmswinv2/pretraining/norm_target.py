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
    images = images.float()
    mean = _box_mean(images, size)
    count = _box_count(images.shape[2:], size, images.device)
    variance = (_box_mean(images**2, size) - mean**2) * (count / (count - 1))
    return mean, (variance.clamp(min=0) + EPSILON).sqrt()


def normalize(images: Tensor, size: int) -> Tensor:
    """Images by :func:`local_statistics`, ``(B, C, H, W)`` in fp32."""
    mean, deviation = local_statistics(images, size)
    return (images.float() - mean) / deviation


def _box_mean(images: Tensor, size: int) -> Tensor:
    # One axis after the other: the mean of means, as all rows count equally many.
    for kernel in ((size, 1), (1, size)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        images = F.avg_pool2d(images, kernel, 1, padding, count_include_pad=False)
    return images


def _box_count(shape: torch.Size, size: int, device: torch.device) -> Tensor:
    """How many pixels of an image each window has, ``(H, W)``."""
    along = []
    for length in shape:
        place = torch.arange(length, device=device)
        first = (place - size // 2).clamp(min=0)
        along.append((place + size // 2).clamp(max=length - 1) - first + 1)
    return (along[0][:, None] * along[1]).float()
