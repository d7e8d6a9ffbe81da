"""Bring a state dict to the backbone: names, windows, checks and a report."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from torch import Tensor

from mmswinv2.ops.log_coords import windows_of_coords

from .layouts import LAYOUTS, Weights, architecture, describe, find_layout
from .position_biases import fit_position_biases

Window = tuple[int, int]
WINDOW_RECORD = "window_record"
MIN_MATCHED = 0.95

# Rebuilt for the window in use, never loaded.
_BUFFERS = re.compile(r"(relative_coords_table|relative_position_index|attn_mask)$")
# Parts of a published model that a backbone may have no use for.
_NOT_BACKBONE = re.compile(r"(head|norm\d)\.")


@dataclass
class LoadReport:
    """What a checkpoint had for the backbone.

    Attributes:
        layout (str): Layout they came in.
        windows (list | None): (window, pre-training window) of every stage as the
            checkpoint has them, or None where it does not tell.
        expected (int): Number of tensors that the checkpoint had to have.
        absent (list[str]): Tensors of the backbone that no checkpoint has to have.
        missing (list[str]): Tensors that it should have had.
        ignored (list[str]): Tensors that the backbone has no use for.
        tables (dict[str, Tensor]): Tables of position biases that were carried to
            another window, as they were, ``(n, 2 * h - 1, 2 * w - 1)``.
    """

    layout: str
    windows: list[tuple[Window, Window]] | None
    expected: int
    absent: list[str]
    missing: list[str]
    ignored: list[str]
    tables: dict[str, Tensor] = field(default_factory=dict)


def adapt_state_dict(
    state_dict: dict, own: dict[str, Tensor], optional: Collection[str]
) -> tuple[Weights, LoadReport]:
    """Find the backbone's weights in a state dict of any known layout.

    Args:
        state_dict (dict): Tensors by name, as loaded; ``{'model': ...}`` and
            ``{'state_dict': ...}`` wrappers and the prefix ``backbone.`` are removed.
        own (dict[str, Tensor]): The backbone's own state dict.
        optional (Collection[str]): Names in ``own`` that published weights lack.

    Returns:
        tuple[dict[str, Tensor], LoadReport]: Tensors by the backbone's names, and what
        was found.

    Raises:
        RuntimeError: If the weights belong to another architecture or fewer than 95 %
            of the backbone's tensors are there.
        ValueError: If the checkpoint's coordinates are not log-spaced.
    """
    given = _unwrap(state_dict)
    layout = find_layout(given)
    if layout is None:
        raise RuntimeError(
            f"no Swin V2 weights found: {describe(given)}. Expected names of "
            f"{' or '.join(known.name for known in LAYOUTS)} weights, such as "
            "'layers.0.blocks.0.attn.logit_scale'"
        )
    native = layout.to_native(given)
    windows = _read_windows(native)
    found = {k: v for k, v in native.items() if not _BUFFERS.search(k)}
    found.pop(WINDOW_RECORD, None)
    found, tables = fit_position_biases(found, own, windows)

    weights = {k: v for k, v in found.items() if k in own and v.shape == own[k].shape}
    reshaped = [k for k in found if k in own and k not in weights]
    foreign = [k for k in found if k not in own and not _NOT_BACKBONE.match(k)]
    required = [k for k in own if k not in optional]
    missing = [k for k in required if k not in weights]
    if reshaped or foreign or len(missing) > (1 - MIN_MATCHED) * len(required):
        raise RuntimeError(
            f"the weights do not fit: {len(required) - len(missing)} of "
            f"{len(required)} tensors match, {len(reshaped)} have another shape, "
            f"{len(foreign)} have no place"
            + _first_misfit(own, found, reshaped, foreign, missing)
            + f". The checkpoint has {architecture(found)}, the model "
            f"{architecture(own)}; choose the checkpoint's arch, or another checkpoint"
        )
    report = LoadReport(
        layout=layout.name,
        windows=windows,
        expected=len(required),
        absent=[k for k in optional if k not in weights and k != WINDOW_RECORD],
        missing=missing,
        ignored=[k for k in found if k not in own],
        tables=tables,
    )
    return weights, report


def _unwrap(state_dict: dict) -> Weights:
    for wrapper in ("state_dict", "model"):
        if isinstance(state_dict.get(wrapper), dict):
            state_dict = state_dict[wrapper]
    prefix = "backbone."
    inner = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    return inner or state_dict


def _read_windows(weights: Weights) -> list[tuple[Window, Window]] | None:
    """(window, pre-training window) per stage, from our record or official buffers."""
    if WINDOW_RECORD in weights:
        return [
            (tuple(window), tuple(pretrained))
            for window, pretrained in weights[WINDOW_RECORD].tolist()
        ]
    windows = []
    while table := f"layers.{len(windows)}.blocks.0.attn.relative_coords_table":
        if table not in weights:
            return windows or None
        windows.append(windows_of_coords(weights[table]))


def _first_misfit(
    own: Weights,
    found: Weights,
    reshaped: list[str],
    foreign: list[str],
    missing: list[str],
) -> str:
    if reshaped:
        name = reshaped[0]
        given, expected = tuple(found[name].shape), tuple(own[name].shape)
        return f" (first: {name} is {given}, expected {expected})"
    return f" (no place: {foreign[0]})" if foreign else f" (missing: {missing[0]})"
