"""Geometry of padded, shifted windows, as pure functions.

An axis of ``size`` tokens is padded at its end to a multiple of the window and then
rolled back by ``shift``: position ``r`` then holds token ``(r + shift) % padded``.
"""
# map (H, W) or (T, H, W), window (h, w) or (t, h, w), counts: windows per axis, (Y, X)
# or (Z, Y, X), N tokens of a window, C channels

from functools import lru_cache
from typing import Any

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


def pad_and_shift(x: Tensor, window: tuple[int, ...], shift: tuple[int, ...]) -> Tensor:
    """``(..., *map, C)`` -> ``(..., *padded, C)``, zero padded, then rolled."""
    axes = range(-1 - len(window), -1)
    pads = [-x.shape[axis] % w for axis, w in zip(axes, window)]
    if any(pads):
        x = F.pad(x, (0, 0, *(n for pad in reversed(pads) for n in (0, pad))))
    if any(shift):
        x = x.roll([-s for s in shift], dims=[*axes])
    return x


def unshift_and_crop(
    x: Tensor, size: tuple[int, ...], shift: tuple[int, ...]
) -> Tensor:
    """Inverse of :func:`pad_and_shift`; ``size`` is the map before padding."""
    if any(shift):
        x = x.roll(shift, dims=[*range(-1 - len(shift), -1)])
    inside: Any = (..., *map(slice, size), slice(None))
    return x[inside]


def partition(x: Tensor, window: tuple[int, ...]) -> Tensor:
    """``(..., *padded, C)`` -> ``(..., *counts, N, C)``, as (..., Y, X, N, C)."""
    first, axes = x.dim() - 1 - len(window), range(len(window))
    for i in reversed(axes):
        x = x.unflatten(first + i, (-1, window[i]))  # (..., Y, h, X, w, C)
    counts, places = ([first + 2 * i + inside for i in axes] for inside in (0, 1))
    x = x.permute(*range(first), *counts, *places, -1)
    return x.flatten(-1 - len(window), -2)


def reverse(x: Tensor, window: tuple[int, ...]) -> Tensor:
    """``(..., *counts, N, C)`` -> ``(..., *padded, C)``, inverse of partition."""
    axes = len(window)
    first = x.dim() - 2 - axes
    x = x.unflatten(-2, window)  # (..., Y, X, h, w, C)
    pairs = (first + i + inside for i in range(axes) for inside in (0, axes))
    x = x.permute(*range(first), *pairs, -1)
    for i in range(axes):
        x = x.flatten(first + i, first + i + 1)
    return x


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


def attention_mask(labels: tuple[tuple[int, ...], ...], like: Tensor) -> Tensor | None:
    """Additive ``(N, N)`` mask of one window, or None where all tokens see each other.

    Args:
        labels (tuple[tuple[int]]): Of the window along every axis, from
            :func:`axis_labels`.
        like (Tensor): Gives dtype and device.
    """
    if all(len({*axis}) == 1 and axis[0] != PADDING for axis in labels):
        return None
    region = _regions(labels, like.device)
    visible = (region[:, None] == region[None, :]) & (region[None, :] != PADDING)
    return like.new_zeros(visible.shape).masked_fill_(~visible, MASK_VALUE)


@kept(256)  # else they would come from the host's memory in every call
def _regions(labels: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor:
    """Region of every token of a window, ``(N,)``; PADDING for none."""
    region = torch.zeros((), dtype=torch.long, device=device)
    for axis in labels:
        region, label = region[..., None], torch.tensor(axis, device=device)
        padding = (region == PADDING) | (label == PADDING)
        region = torch.where(padding, PADDING, 2 * region + label)
    return region.flatten()
