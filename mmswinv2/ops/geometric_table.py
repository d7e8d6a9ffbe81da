"""Carry a learned table of position biases to another window, as Swin V1 does."""
# n heads, h w window in tokens, of videos t h w

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def table_to_map(table: Tensor, window: tuple[int, ...]) -> Tensor:
    """``relative_position_bias_table`` of Swin V1 as a map of offsets, in fp32.

    Args:
        table (Tensor): ``((2 * h - 1) * (2 * w - 1), n)``.
        window (tuple[int, ...]): Its window in tokens.

    Returns:
        Tensor: ``(n, 2 * h - 1, 2 * w - 1)``.
    """
    return table.float().T.unflatten(1, [2 * size - 1 for size in window])


def map_to_table(bias: Tensor) -> Tensor:
    """Inverse of :func:`table_to_map`, in the dtype of ``bias``."""
    return bias.flatten(1).T.contiguous()


def carry_table(table: Tensor, window: tuple[int, ...]) -> Tensor:
    """Position biases of another window, by geometric, bicubic interpolation.

    As in the official fine-tuning code: a spline goes through the biases at positions
    that grow geometrically from the centre, so that near offsets stay where they are
    and the largest offset of the table becomes that of ``window``. The spline is cubic
    along each axis (not-a-knot), of lower degree where an axis has under four values. A
    smaller window takes the middle of the table: its offsets are all known.

    The result is linear in ``table``, so gradients flow back to it.

    Args:
        table (Tensor): Bias of every offset, ``(n, 2 * h - 1, 2 * w - 1)``.
        window (tuple[int, ...]): Window to carry it to, in tokens.

    Returns:
        Tensor: ``(n, 2 * window_h - 1, 2 * window_w - 1)``.
    """
    for axis, target in enumerate(window, 1):
        source = (table.shape[axis] + 1) // 2
        if target < source:
            table = table.narrow(axis, source - target, 2 * target - 1)
        elif target > source:
            matrix = table.new_tensor(spline_matrix(source, target))
            with torch.autocast(table.device.type, enabled=False):
                table = (table.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    return table


def geometric_positions(source: int, target: int) -> np.ndarray:
    """Where the offsets of a window lie in a larger one, in its tokens.

    Args:
        source (int): Length of the window along one axis.
        target (int): Length of the larger window.

    Returns:
        np.ndarray: ``(2 * source - 1,)`` from ``1 - target`` to ``target - 1``, steps
        1, q, q^2, ... from the centre; for a source of one or two tokens, which has no
        second step, from ``1 - source`` to ``source - 1``.
    """
    low, high = 1.0, float(target)
    for _ in range(100):
        ratio = (low + high) / 2
        reach = sum(ratio**k for k in range(source - 1))
        low, high = (low, ratio) if reach > target - 1 else (ratio, high)
    half = np.cumsum([low**k for k in range(source - 1)]) if source > 2 else None
    half = np.arange(1.0, source) if half is None else half * (target - 1) / half[-1]
    return np.concatenate([-half[::-1], [0.0], half])


@torch.compiler.assume_constant_result
def spline_matrix(source: int, target: int) -> tuple[tuple[float, ...], ...]:
    """Values of a table along one axis to those of a larger one.

    Args:
        source (int): Length of the window along the axis.
        target (int): Length of the larger window.

    Returns:
        tuple[tuple[float, ...], ...]: ``2 * target - 1`` rows of ``2 * source - 1``;
        no tensor, which would belong to one device and one mode of autograd.
    """
    return _spline_matrix(source, target)


@lru_cache(maxsize=256)
def _spline_matrix(source: int, target: int) -> tuple[tuple[float, ...], ...]:
    nodes = geometric_positions(source, target)
    degree = min(3, len(nodes) - 1)
    # Not-a-knot: the second and the last but one node are none, for a cubic spline.
    inner = nodes[2:-2] if degree == 3 else nodes[:0]
    ends = [np.full(degree + 1, end) for end in (nodes[0], nodes[-1])]
    knots = np.concatenate([ends[0], inner, ends[1]])
    offsets = np.arange(1.0 - target, target).clip(nodes[0], nodes[-1])
    at_nodes = _b_splines(nodes, knots, degree)
    rows = np.linalg.solve(at_nodes.T, _b_splines(offsets, knots, degree).T).T
    return tuple(map(tuple, rows.tolist()))


def _b_splines(x: np.ndarray, knots: np.ndarray, degree: int) -> np.ndarray:
    """Values of all B-splines at ``x`` by de Boor's recursion, one row per position."""
    last = len(knots) - degree - 2  # the interval that ends with the last position
    interval = np.searchsorted(knots, x, side="right") - 1
    basis = np.eye(len(knots) - 1)[interval.clip(degree, last)]
    for d in range(1, degree + 1):
        width = knots[d:] - knots[:-d]
        rising = (x[:, None] - knots[:-d]) / np.where(width > 0, width, 1)
        left = np.where(width > 0, rising, 0) * basis
        right = np.where(width > 0, 1 - rising, 0) * basis
        basis = left[:, :-1] + right[:, 1:]
    return basis
