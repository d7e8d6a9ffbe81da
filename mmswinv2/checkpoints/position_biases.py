"""Which position bias weights have, and tables of biases of another window."""

import math

from torch import Tensor

from mmswinv2.ops.geometric_table import carry_table, map_to_table, table_to_map

from .tensors import length, num_axes
from .windows import WINDOW_RECORD, StageWindows, Window

LINEAR_CPB = "linear_cpb"  # a buffer that tells linear coordinates from log-spaced ones
TABLE = "relative_position_bias_table"


def position_bias_of(weights: dict[str, Tensor]) -> str:
    """'log_cpb', 'linear_cpb' or 'table', by names of this package.

    Weights of a meta network are the same for log-spaced and linear coordinates; the
    backbone writes a marker for the latter, which no published weights have.
    """
    if any(name.endswith(TABLE) for name in weights):
        return "table"
    return "linear_cpb" if LINEAR_CPB in weights else "log_cpb"


def windows_of_tables(weights: dict[str, Tensor]) -> StageWindows | None:
    """(window, window) per stage from the lengths of square tables; None without.

    Tables of videos have no such window.

    Args:
        weights (dict[str, Tensor]): Weights by the names of this package.
    """
    windows: StageWindows = []
    if num_axes(weights) == 3:  # of unequal axes
        return None
    while (name := f"layers.{len(windows)}.blocks.0.attn.{TABLE}") in weights:
        size = (math.isqrt(length(weights[name])) + 1) // 2
        windows.append(((size, size), (size, size)))
    return windows or None


def fit_position_biases(
    weights: dict[str, Tensor], own: dict[str, Tensor], windows: StageWindows | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Check the kind of position bias, and carry tables to the model's windows.

    Args:
        weights (dict[str, Tensor]): Weights by the names of this package.
        own (dict[str, Tensor]): The backbone's own state dict.
        windows (list | None): (window, normaliser) of every stage of ``weights``; the
            normaliser of tables is their window. None: tables are square.

    Returns:
        tuple[dict, dict]: ``weights`` with tables of the model's windows, and by name
        the tables that had another, as maps ``(n, 2 * h - 1, 2 * w - 1)``.

    Raises:
        RuntimeError: If the weights have another kind of position bias.
    """
    given, expected = position_bias_of(weights), position_bias_of(own)
    if given != expected:
        raise RuntimeError(
            f"the weights have position_bias={given!r}, the model has {expected!r}: "
            + (
                "the values of a table and the weights of a meta network cannot become "
                "each other"
                if "table" in (given, expected)
                else "the same meta network means something else on other coordinates"
            )
            + f". Build the model with position_bias={given!r}, or take other weights"
        )
    fitted, before = dict(weights), {}
    windows = windows or windows_of_tables(weights)
    for name, table in weights.items():
        if not (name.endswith(TABLE) and name in own):
            continue
        stage = int(name.split(".")[1])
        if windows is None or stage >= len(windows):  # that of another block is missing
            continue
        window = windows[stage][1]
        if table.dim() != 2 or len(table) != math.prod(2 * n - 1 for n in window):
            raise RuntimeError(
                f"{name} is {tuple(table.shape)}, which is no table of the window "
                f"{'x'.join(map(str, window))} that the weights have at stage {stage}"
            )
        target: Window = tuple(own[WINDOW_RECORD][stage, 1].tolist())
        if window != target:
            before[name] = table_to_map(table, window)
            fitted[name] = map_to_table(carry_table(before[name], target))
    return fitted, before
