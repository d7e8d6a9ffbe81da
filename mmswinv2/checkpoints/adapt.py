"""Fit a state dict to the backbone: checks and a report."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mmswinv2.architectures import Architecture

from .contents import check_tensor
from .inflation import inflate
from .layouts import LAYOUTS
from .locate import (
    CLASSIFIER,
    DECODER,
    TOKEN_CLASSIFIER,
    SwinWeights,
    architecture_of,
    describe,
    locate,
    outside_of_backbone,
)
from .pickles import ContentError
from .position_biases import fit_position_biases
from .tensors import Weights
from .windows import WINDOW_RECORD, StageWindows, Window, per_stage

# Parts of a published model that a backbone may have no use for.
_NOT_BACKBONE = re.compile(r"(head|norm\d)\.|mask_token$")


@dataclass
class LoadReport:
    """What a checkpoint had for the backbone.

    Attributes:
        layout (str): Layout they came in.
        windows (list | None): (window, pre-training window) of every stage as the
            checkpoint has them, or None where it does not tell.
        expected (int): Number of tensors that the checkpoint had to have, and had.
        absent (list[str]): Tensors of the backbone that no checkpoint has to have.
        ignored (list[str]): Tensors that the backbone has no use for.
        unbuilt (dict[int, int]): Number of tensors of every stage that the backbone
            leaves out; the merging in front of a stage is part of it.
        tables (dict[str, Tensor]): Tables of position biases that were carried to
            another window, as they were, ``(n, 2 * h - 1, 2 * w - 1)``.
        inflated (str): What of weights of images was brought to videos; '' for nothing.
    """

    layout: str
    windows: StageWindows | None
    expected: int
    absent: list[str]
    ignored: list[str]
    unbuilt: dict[int, int] = field(default_factory=dict)
    tables: dict[str, Tensor] = field(default_factory=dict)
    inflated: str = ""

    def describe(
        self, where: str, windows: Sequence[Window], normalisers: Sequence[Window]
    ) -> str:
        """Text for the log: what was found, and how windows change.

        Args:
            where (str): Name of the backbone.
            windows (Sequence): Its window at every stage, in tokens.
            normalisers (Sequence): Likewise, that of its position bias.
        """
        before = [window for window, _ in self.windows or ()] or windows
        changes = ", ".join(
            f"{per_stage([old])} -> {per_stage([new])}"
            for old, new in zip(before, windows)
        )
        ignored = self.ignored + [
            f"stage {stage} ({count} tensors; out_indices end before it)"
            for stage, count in self.unbuilt.items()
        ]
        absent = sorted({name.rsplit(".", 1)[0] for name in self.absent})
        return (
            f"Loaded {self.layout} Swin V2 weights into {where}: "
            f"all {self.expected} tensors\n"
            f"  not in it: {', '.join(absent) or 'nothing'}; "
            f"ignored: {', '.join(ignored) or 'nothing'}\n"
            f"  window per stage: {changes}; normaliser {per_stage(normalisers)}"
            + f"\n  inflated from images: {self.inflated}"
            * bool(self.inflated)
        )


def adapt_state_dict(
    state_dict: dict,
    own: dict[str, Tensor],
    optional: Collection[str],
    unbuilt: range = range(0),
) -> tuple[Weights, LoadReport]:
    """Find the backbone's weights in a state dict of any known layout.

    Args:
        state_dict (dict): Tensors by name, as loaded; wrappers such as ``{'model':
            ...}`` and prefixes such as ``backbone.`` are removed.
        own (dict[str, Tensor]): The backbone's own state dict.
        optional (Collection[str]): Names in ``own`` that published weights lack.
        unbuilt (range): Stages that the backbone leaves out. Defaults to none.

    Returns:
        tuple[dict[str, Tensor], LoadReport]: Tensors by the backbone's names, and what
        was found.

    Raises:
        RuntimeError: If the weights belong to another architecture, or a tensor of the
            backbone is not among them.
        ValueError: If the checkpoint's windows or coordinates are none, or a weight is
            not finite or no dense tensor of floating point numbers.
    """
    location = locate(state_dict)
    if location is None:
        raise RuntimeError(
            f"no Swin V2 weights found: {describe(state_dict)}. Expected the names of "
            f"{', '.join(LAYOUTS)}, such as 'layers.0.blocks.0.attn.logit_scale'"
        )
    source = location.read()
    check_weights(source.tensors, own)
    source, inflated = inflate(source, own)
    source.tensors, tables = fit_position_biases(source.tensors, own, source.windows)
    left_out = Counter(_stage(name) for name in source.tensors)
    left_out = {i: left_out[i] for i in unbuilt if left_out[i]}
    source.tensors = {
        k: v for k, v in source.tensors.items() if _stage(k) not in unbuilt
    }
    found = source.tensors
    weights = {k: v for k, v in found.items() if k in own and v.shape == own[k].shape}
    halves = {k for k in optional if k not in found and _other_half(k) in found}
    required = [k for k in own if k not in optional or k in halves]
    _check_fit(source, own, required)
    report = LoadReport(
        layout=source.layout,
        windows=source.windows,
        expected=len(required),
        absent=[k for k in optional if k not in weights and k != WINDOW_RECORD],
        ignored=[k for k in found if k not in own],
        unbuilt=left_out,
        tables=tables,
        inflated=inflated,
    )
    return weights, report


def check_weights(given: Mapping, own: Weights, prefix: str = "") -> None:
    """Raise ValueError where a weight cannot be that of a model.

    Args:
        given (Mapping): Weights by name, maybe with others among them.
        own (dict[str, Tensor]): The model's own state dict; where it has floating point
            numbers, the weights have to have them.
        prefix (str): Of the names in ``own``. Defaults to ''.
    """
    for name in given.keys() & {prefix + key for key in own}:
        tensor = given[name]
        try:
            if not isinstance(tensor, Tensor):
                kind = type(tensor).__name__
                raise ContentError(f"has a {kind} in {name!r}, expected a tensor")
            check_tensor(name, tensor)
            if (
                own[name[len(prefix) :]].is_floating_point()
                > tensor.is_floating_point()
            ):
                kind = str(tensor.dtype).removeprefix("torch.")
                raise ContentError(
                    f"has numbers of {kind} in {name!r}, expected floating point; "
                    "convert them, or take the weights before they were quantized"
                )
        except ContentError as error:
            raise ValueError(f"the checkpoint {error}") from error


def forget_heads(unexpected: list[str], prefix: str) -> list[str]:
    """Take the heads of published weights out of a list of unexpected names.

    A detector has no use for a classifier, for that of tokens or for the decoder of
    SimMIM, and its backbone's report says so.

    Args:
        unexpected (list[str]): Names that a model has no place for, changed in place.
        prefix (str): Of the names of the model's backbone.

    Returns:
        list[str]: What was taken out, by the names of this package.
    """
    outer = outside_of_backbone(prefix)
    classifier = outer + CLASSIFIER
    heads = (classifier, outer + DECODER, outer + TOKEN_CLASSIFIER)
    taken = [name for name in unexpected if name.startswith(heads)]
    unexpected[:] = [name for name in unexpected if name not in taken]
    return [name.replace(classifier, "head.") for name in taken]


def _other_half(name: str) -> str:
    """The bias that goes with a weight, and the reverse."""
    part, _, kind = name.rpartition(".")
    return f"{part}.{'bias' if kind == 'weight' else 'weight'}"


def _stage(name: str) -> int:
    """Stage that a tensor belongs to, -1 for none; a merging belongs to the next."""
    match = re.match(r"layers\.([0-7])\.(downsample\.)?", name)
    return int(match[1]) + bool(match[2]) if match else -1


def _check_fit(source: SwinWeights, own: Weights, required: list[str]) -> None:
    """Raise RuntimeError where the weights are not those of this model."""
    found = source.tensors
    reshaped = [k for k in found if k in own and found[k].shape != own[k].shape]
    foreign = [k for k in found if k not in own and not _NOT_BACKBONE.match(k)]
    missing = [k for k in required if k not in found]
    if not (reshaped or foreign or missing):
        return
    if reshaped:
        name = reshaped[0]
        given, expected = tuple(found[name].shape), tuple(own[name].shape)
        first = f"first: {name} is {given}, expected {expected}"
    else:
        first = f"no place: {foreign[0]}" if foreign else f"missing: {missing[0]}"
    raise RuntimeError(
        f"the weights do not fit: of {len(required)} tensors {len(missing)} are "
        f"missing, {len(reshaped)} have another shape, {len(foreign)} more have no "
        f"place ({first}). The checkpoint has {_numbers(source.architecture)}, the "
        f"model {_numbers(architecture_of(own))}; choose the checkpoint's, or another "
        "checkpoint"
    )


def _numbers(arch: Architecture) -> str:
    extra = arch.extra_norm_every_n_blocks
    return (
        f"embed_dims={arch.embed_dims}, depths={arch.depths}, "
        f"num_heads={arch.num_heads}"
        + (f", extra_norm_every_n_blocks={extra}" if extra else "")
    )
