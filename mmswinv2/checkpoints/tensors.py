"""Differences between layouts that are in the tensors, not in their names.

All functions take and return weights by the names of this package and leave what they
were given unchanged.
"""

import re
from collections.abc import Callable, Collection

import torch
from torch import Tensor

Weights = dict[str, Tensor]

MAX_STAGES = 8  # halvings of a map; published models have 4
STEM = "patch_embed.proj.weight"  # (C, 3, 4, 4), of videos (C, 3, frames, 4, 4)
_STAGE = re.compile(r"layers\.([0-7])\.")
_NUMBERED_NORM = re.compile(r"norm([0-7])\.")


def length(tensor: Tensor) -> int:
    """Rows of a tensor; 0 for one without dimensions, which no weight is."""
    return len(tensor) if tensor.dim() else 0


def num_axes(weights: Weights) -> int | None:
    """Axes of the maps that weights are for: 2 or, of videos, 3; None if none tells."""
    stem = weights.get(STEM)
    return None if stem is None or stem.dim() not in (4, 5) else stem.dim() - 2


def last_stage(names: Collection[str]) -> int:
    """Number of the last stage that occurs in names of this package."""
    return max((int(m[1]) for m in map(_STAGE.match, names) if m), default=0)


def number_last_norm(weights: Weights) -> Weights:
    """``norm``, the norm of the last map, gets the number of its stage."""
    last = last_stage(weights)
    return {re.sub(r"^norm\.", f"norm{last}.", k): v for k, v in weights.items()}


def keep_last_norm(weights: Weights) -> Weights:
    """The last stage's norm becomes ``norm``; those of other stages are left out."""
    last = last_stage(weights)
    kept = {}
    for name, tensor in weights.items():
        match = _NUMBERED_NORM.match(name)
        if not match:
            kept[name] = tensor
        elif int(match[1]) == last:
            kept["norm." + name[match.end() :]] = tensor
    return kept


def unify(weights: Weights) -> Weights:
    """One ``qkv`` matrix, biases of q and v apart, logit scales of (heads, 1, 1).

    Raises:
        RuntimeError: If keys have a bias other than zero.
    """
    unified = dict(weights)
    for name, tensor in weights.items():
        attention, _, part = name.rpartition("attn.")
        attention += "attn."
        if part == "query.weight":
            qkv = [f"{attention}{x}.weight" for x in ("query", "key", "value")]
            alike = [
                x in unified
                and unified[x].shape == tensor.shape
                and unified[x].dtype == tensor.dtype
                for x in qkv
            ]
            if all(alike) and tensor.dim() == 2:  # others are refused later
                unified[f"{attention}qkv.weight"] = torch.cat(
                    [unified.pop(x) for x in qkv]
                )
        elif part == "qkv.bias" and tensor.dim() and len(tensor) % 3 == 0:
            q, k, v = unified.pop(name).chunk(3)
            _check_no_bias(k, name)
            unified[f"{attention}q_bias"] = q.clone()
            unified[f"{attention}v_bias"] = v.clone()
        elif part == "k_bias":
            _check_no_bias(unified.pop(name), name)
        elif part == "logit_scale" and tensor.dim():
            unified[name] = tensor.reshape(-1, 1, 1)
    return unified


def _check_no_bias(bias: Tensor, name: str) -> None:
    if bias.any():
        raise RuntimeError(
            f"{name!r} gives keys a bias of up to {bias.abs().max().item():.3g}. Swin "
            "V2 has none: with cosine attention it would change every similarity. "
            "These weights belong to another model"
        )


def split_qkv(weights: Weights) -> Weights:
    """Inverse of :func:`unify` for the matrix."""
    split: Weights = {}
    for name, tensor in weights.items():
        if name.endswith("attn.qkv.weight"):
            attention = name.removesuffix("qkv.weight")
            for part, matrix in zip(("query", "key", "value"), tensor.chunk(3)):
                split[f"{attention}{part}.weight"] = matrix.clone()
        else:
            split[name] = tensor
    return split


def join_bias(weights: Weights) -> Weights:
    """Inverse of :func:`unify` for the biases; keys get zeros."""
    joined = dict(weights)
    for name in weights:
        if name.endswith("attn.q_bias"):
            q = joined.pop(name)
            v = joined.pop(name.replace("q_bias", "v_bias"))
            bias = torch.cat((q, torch.zeros_like(q), v))
            joined[name.replace("q_bias", "qkv.bias")] = bias
    return joined


def merging_from_mmcv(weights: Weights) -> Weights:
    """Columns of patch merging from mmcv's order to the official one.

    Both join four tokens of C channels. nn.Unfold, which mmcv uses, has channels
    first and then (row, column); the official code tokens first, in the order (0, 0),
    (1, 0), (0, 1), (1, 1).
    """

    def swap(matrix: Tensor) -> Tensor:
        tokens = matrix.unflatten(1, (-1, 2, 2))  # (2C, C, row, column)
        return tokens.permute(0, 3, 2, 1).flatten(1)

    return _map_merging(weights, swap)


def merging_to_mmcv(weights: Weights) -> Weights:
    """Inverse of :func:`merging_from_mmcv`."""

    def swap(matrix: Tensor) -> Tensor:
        tokens = matrix.unflatten(1, (2, 2, -1))  # (2C, column, row, C)
        return tokens.permute(0, 3, 2, 1).flatten(1)

    return _map_merging(weights, swap)


def _map_merging(weights: Weights, swap: Callable[[Tensor], Tensor]) -> Weights:
    return {
        name: swap(tensor)
        if name.endswith("downsample.reduction.weight")
        and tensor.dim() == 2
        and tensor.shape[1] % 4 == 0
        else tensor  # what has another shape is refused later
        for name, tensor in weights.items()
    }
