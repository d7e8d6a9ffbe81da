"""Geometry of padded, shifted windows, as pure functions.

An axis of ``size`` tokens is padded at its end to a multiple of the window and then
rolled back by ``shift``: position ``r`` then holds token ``(r + shift) % padded``.
"""
# B batch, H W map, h w window, Y X windows per axis, N = h * w tokens, C channels

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kept import kept

# Cosine logits span [-100, 116], so a mask must lie below -216; this value is exact
# enough in fp16 and keeps a fully masked row (a padded query) finite.
MASK_VALUE = -1e4
# A query or key shorter than this has no direction: it is not stretched to length 1 and
# gets no gradient, which would be 1 / length and overflow fp16 (usual epsilon: 1e-12).
NORM_EPS = 5e-5

PADDING, PLAIN, WRAPPED = -1, 0, 1


def unit_length(x: Tensor) -> Tensor:
    """Normalise the last dimension to length 1 in at least fp32."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    square = x.square().sum(-1, keepdim=True)
    x = torch.where(square > NORM_EPS**2, x, x.detach())
    return x * square.clamp_min(NORM_EPS**2).rsqrt()


def pad_and_shift(x: Tensor, window: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    """``(..., H, W, C)`` -> ``(..., Y * h, X * w, C)``, zero padded, then rolled."""
    pad_h = -x.shape[-3] % window[0]
    pad_w = -x.shape[-2] % window[1]
    if pad_h or pad_w:
        x = F.pad(x, (0, 0, 0, pad_w, 0, pad_h))
    if any(shift):
        x = x.roll((-shift[0], -shift[1]), dims=(-3, -2))
    return x


def unshift_and_crop(
    x: Tensor, size: tuple[int, int], shift: tuple[int, int]
) -> Tensor:
    """Inverse of :func:`pad_and_shift`; ``size`` is the map before padding."""
    if any(shift):
        x = x.roll(shift, dims=(-3, -2))
    return x[..., : size[0], : size[1], :]


def partition(x: Tensor, window: tuple[int, int]) -> Tensor:
    """``(..., Y * h, X * w, C)`` -> ``(..., Y, X, N, C)``."""
    h, w = window
    x = x.unflatten(-3, (-1, h)).unflatten(-2, (-1, w))  # (..., Y, h, X, w, C)
    return x.transpose(-4, -3).flatten(-3, -2)


def reverse(x: Tensor, window: tuple[int, int]) -> Tensor:
    """``(..., Y, X, N, C)`` -> ``(..., Y * h, X * w, C)``, inverse of partition."""
    x = x.unflatten(-2, window).transpose(-4, -3)  # (..., Y, h, X, w, C)
    return x.flatten(-3, -2).flatten(-4, -3)


@lru_cache(maxsize=1024)
def axis_labels(size: int, window: int, shift: int) -> tuple[tuple[int, ...], ...]:
    """Label of every token of every window along one axis.

    Returns:
        tuple: One tuple of ``window`` labels per window: PLAIN, WRAPPED (rolled around
        the edge of the map) or PADDING.
    """
    padded = size + -size % window
    labels = []
    for rolled in range(padded):
        wrapped, token = divmod(rolled + shift, padded)
        labels.append(PADDING if token >= size else WRAPPED if wrapped else PLAIN)
    return tuple(tuple(labels[i : i + window]) for i in range(0, padded, window))


def attention_mask(
    labels_y: tuple[int, ...], labels_x: tuple[int, ...], like: Tensor
) -> Tensor | None:
    """Additive ``(N, N)`` mask of one window, or None where all tokens see each other.

    Args:
        labels_y (tuple[int]): Labels of the window's rows, from :func:`axis_labels`.
        labels_x (tuple[int]): Labels of the window's columns.
        like (Tensor): Gives dtype and device.
    """
    one_region = len(set(labels_y)) == len(set(labels_x)) == 1
    if one_region and PADDING not in (labels_y[0], labels_x[0]):
        return None
    region = _regions(labels_y, labels_x, like.device)
    visible = (region[:, None] == region[None, :]) & (region[None, :] != PADDING)
    return like.new_zeros(visible.shape).masked_fill_(~visible, MASK_VALUE)


@kept(256)  # else they would come from the host's memory in every call
def _regions(
    labels_y: tuple[int, ...], labels_x: tuple[int, ...], device: torch.device
) -> Tensor:
    """Region of every token of a window, ``(N,)``; PADDING for none."""
    y = torch.tensor(labels_y, device=device)[:, None]
    x = torch.tensor(labels_x, device=device)[None, :]
    return torch.where((y < 0) | (x < 0), PADDING, 2 * y + x).flatten()
