"""Coordinates of relative offsets (Swin V2, section 3.3), log-spaced or linear."""
# h w window size in tokens, of videos t h w

import math

import torch
from torch import Tensor

# Not in the paper's equation 4 but in the official code: raw offsets are brought to
# [-8, 8] by the pre-training window, and the logarithm is divided by log2(8).
COORDS_RANGE = 8


def linear_coords(
    window: tuple[int, ...],
    pretrained_window: tuple[int, ...],
    device: torch.device | str | None = None,
) -> Tensor:
    """Linear coordinates of all relative offsets in a window.

    What equation 4 takes the logarithm of: the offset in tokens, in the official code
    times 8 over the largest offset of the pre-training window. At window 8 these are
    8/7 of the raw offsets that the paper's linear CPB (equation 3) is given; any
    further factor would set that network apart by more than the logarithm.

    Args:
        window (tuple[int, ...]): Window in tokens, (height, width) or (time, height,
            width).
        pretrained_window (tuple[int, ...]): Window that the meta network was trained
            with, in tokens. It keeps the unit of the coordinates: an offset of five
            tokens has the same coordinate whatever ``window`` is.
        device (torch.device, optional): Where the coordinates are made.

    Returns:
        Tensor: ``(2 * h - 1, 2 * w - 1, 2)``, fp32, the last dimension in the order of
        the axes; within [-8, 8] where both windows are the same. Of videos likewise
        ``(2 * t - 1, 2 * h - 1, 2 * w - 1, 3)``.
    """
    axes = []
    for size, pretrained in zip(window, pretrained_window):
        offset = torch.arange(1 - size, size, dtype=torch.float32, device=device)
        # A window of one token knows the offset 0 only; it divides by 1, not by 0.
        axes.append(offset * COORDS_RANGE / max(pretrained - 1, 1))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def log_spaced_coords(
    window: tuple[int, ...],
    pretrained_window: tuple[int, ...],
    device: torch.device | str | None = None,
) -> Tensor:
    """Log-spaced coordinates of all relative offsets in a window (equation 4).

    Args:
        window (tuple[int, ...]): See :func:`linear_coords`.
        pretrained_window (tuple[int, ...]): Likewise.
        device (torch.device, optional): Likewise.

    Returns:
        Tensor: Likewise.
    """
    offset = linear_coords(window, pretrained_window, device)
    return offset.sign() * torch.log2(offset.abs() + 1) / math.log2(COORDS_RANGE)


def windows_of_coords(coords: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Inverse of :func:`log_spaced_coords` of images: window and pre-training window.

    Args:
        coords (Tensor): ``(2 * h - 1, 2 * w - 1, 2)``; a leading dimension of 1, as
            official checkpoints have it, is ignored.

    Returns:
        tuple: ((h, w), (pretrained_h, pretrained_w)) in tokens.

    Raises:
        ValueError: If these are not log-spaced coordinates of any whole windows.
    """
    coords = coords.squeeze(0).float().cpu()
    odd = [length % 2 for length in coords.shape[:2]]
    if odd != [1, 1] or coords.shape[2:] != (2,) or not coords.abs().max() < 100:
        raise ValueError(
            f"the checkpoint's relative_coords_table of shape {tuple(coords.shape)} "
            "holds no coordinates, expected (2 * h - 1, 2 * w - 1, 2) finite numbers"
        )
    window = tuple((length + 1) // 2 for length in coords.shape[:2])
    pretrained = []
    for axis, size in enumerate(window):
        largest = coords[..., axis].max().item()
        if size == 1 or not largest > 0:  # no offset to read the unit from
            pretrained.append(size)
        else:
            unit = max(COORDS_RANGE**largest - 1, 1e-9)
            pretrained.append(round(COORDS_RANGE * (size - 1) / unit) + 1)
    found = (window, tuple(pretrained))
    expected = log_spaced_coords(*found)
    if 1 not in window and not torch.allclose(coords, expected, atol=1e-3):
        raise ValueError(
            "the checkpoint's relative_coords_table holds no log-spaced coordinates "
            f"(closest: window {window}, pre-trained at {found[1]}); it may belong to "
            "a model with linear coordinates, which this backbone is not"
        )
    return found
