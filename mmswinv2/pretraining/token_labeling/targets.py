"""Soft labels of tokens, and of a picture, from the k likeliest classes of a map."""
# B pictures, K classes, k of them kept, h w grid of a map, H W of tokens, N = H * W

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmswinv2.pretraining.map_store import LOGITS

from .sampling import sampling_weights

CHUNK = 2**26  # bytes of maps with all their classes at a time, more for a single one


class Targets(NamedTuple):
    """What a batch is compared with, in fp32; each distribution sums to 1."""

    tokens: Tensor  # (B, N, K)
    labelled: Tensor  # (B, N), bool: whether at least half of a token has a label
    picture: Tensor  # (B, K)


def make_targets(
    values: Tensor,
    ids: Tensor,
    geometry: Tensor,
    size: tuple[int, int],
    *,
    num_classes: int,
    kind: str = LOGITS,
    reach: Tensor | None = None,
) -> Targets:
    """The labels of tokens, and of what is left of the picture, from label maps.

    Classes that a map does not name have logit 0, as in the code of the paper: they
    share a background of e^0 each. Logits are averaged over a cell, and over all that
    is shown for the picture, before softmax. Probabilities are averaged and scaled to a
    sum of 1, as what a map leaves out is unknown. A picture of which nothing is known
    may be of any class.

    Args:
        values (Tensor): ``(B, k, h, w)``, of the classes ``ids``.
        ids (Tensor): ``(B, k, h, w)``, whole numbers; no class twice in a cell.
        geometry (Tensor): ``(B, 2 + n, 3)``, see :func:`note`.
        size (tuple[int, int]): (H, W) of the grid of tokens.
        num_classes (int): K.
        kind (str): What values are, 'logits' or 'probabilities'. Defaults to 'logits'.
        reach (Tensor, optional): As of :func:`sampling_weights`.

    Returns:
        Targets: Of the batch.
    """
    batch, _, *grid = values.shape
    weights, share = sampling_weights(geometry, (grid[0], grid[1]), size, reach)
    # a row more: the mean over all that is shown
    whole = torch.einsum("bn,bns->bs", share, weights)
    whole = whole / share.sum(1, keepdim=True).clamp(min=1e-6)
    weights = torch.cat((whole[:, None], weights), 1)
    ids, values = ids.flatten(2).long(), values.flatten(2).float()
    sampled = values.new_empty(batch, weights.shape[1], num_classes)
    chunk = max(1, CHUNK // (4 * num_classes * ids.shape[2]))
    for start in range(0, batch, chunk):
        part = slice(start, start + chunk)
        dense = values.new_zeros(len(ids[part]), num_classes, ids.shape[2])
        dense.scatter_(1, ids[part], values[part])
        # scattering adds nothing up, so this has the same bits every time
        sampled[part] = weights[part] @ dense.transpose(1, 2)
    labelled = share >= 0.5
    if kind == LOGITS:
        labels = sampled.softmax(-1)
    else:
        total = sampled.sum(-1, keepdim=True)
        labels = torch.where(
            total > 0, sampled / total.clamp(min=1e-6), 1 / num_classes
        )
        labelled = labelled & (total[:, 1:, 0] >= 0.5)
    return Targets(labels[:, 1:], labelled, labels[:, 0])
