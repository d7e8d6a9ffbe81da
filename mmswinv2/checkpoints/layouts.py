"""Names of Swin V2 tensors in published files, both ways.

A layout is a list of names; what differs in tensors themselves is in ``tensors.py``.
``{stage}`` and ``{block}`` stand for numbers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from . import tensors
from .tensors import MAX_STAGES, Weights


@dataclass(frozen=True)
class Rename:
    """A native prefix of names and its counterpart in a layout.

    Attributes:
        native (str): Name in this package.
        foreign (str): Name in the layout.
        step (int): Of the foreign number of a stage: ``step * stage + start``.
        start (int): Likewise.
    """

    native: str
    foreign: str
    step: int = 1
    start: int = 0

    def to_native(self, name: str) -> tuple[str, str] | None:
        """(native prefix, rest of the name), or None where ``name`` is another."""
        match = self._foreign_pattern.match(name)
        if not match:
            return None
        numbers = match.groupdict()
        if "stage" in numbers:
            stage, off = divmod(int(numbers["stage"]) - self.start, self.step)
            if off or not 0 <= stage < MAX_STAGES:
                return None
            numbers["stage"] = stage
        return self.native.format(**numbers), name[match.end() :]

    def to_foreign(self, name: str) -> tuple[str, str] | None:
        """(foreign prefix, rest of the name), or None where ``name`` is another."""
        match = self._native_pattern.match(name)
        if not match:
            return None
        numbers = match.groupdict()
        if "stage" in numbers:
            numbers["stage"] = self.step * int(numbers["stage"]) + self.start
        return self.foreign.format(**numbers), name[match.end() :]

    @cached_property
    def _foreign_pattern(self) -> re.Pattern:
        return _pattern(self.foreign)

    @cached_property
    def _native_pattern(self) -> re.Pattern:
        return _pattern(self.native)


def _pattern(template: str) -> re.Pattern:
    # Of a number with more digits, nothing is made or counted
    numbers = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[0-9]{1,3})", re.escape(template))
    return re.compile(rf"{numbers}(?=\.|$)")


@dataclass(frozen=True)
class Layout:
    """How an implementation names and stores the tensors of Swin V2.

    Attributes:
        name (str): Name in reports and of the converter's option.
        markers (tuple[str, ...]): Names of which every file has one: the logit scale of
            the first block.
        block (Rename): Where blocks are.
        parts (tuple[Rename, ...]): Names within a block; where a native name occurs
            twice, the first is written and both are read.
        others (tuple[Rename, ...]): Names outside blocks. A name that no rule has is
            the same on both sides.
        prefix (str): What published files put before every name but the head's.
        all_norms (bool): Every stage's map has a norm, ``norm0`` to ``norm3``, not only
            the last.
        mmcv_merging (bool): Patch merging takes its inputs in mmcv's order.
        split_qkv (bool): q, k and v have matrices of their own.
        joined_bias (bool): The biases of q, k (zero) and v are one tensor.
        buffers (bool): Files hold relative coordinates and their index.
    """

    name: str
    markers: tuple[str, ...]
    block: Rename
    parts: tuple[Rename, ...] = ()
    others: tuple[Rename, ...] = ()
    prefix: str = ""
    all_norms: bool = False
    mmcv_merging: bool = False
    split_qkv: bool = False
    joined_bias: bool = False
    buffers: bool = False

    def to_native(self, weights: Weights) -> Weights:
        """Bring weights, ``prefix`` removed, to the names of this package.

        Raises:
            RuntimeError: If two names become one, or keys have a bias.
        """
        native: Weights = {}
        for name, tensor in weights.items():
            renamed = self._rename(name, Rename.to_native)
            if renamed in native:
                raise RuntimeError(f"{renamed!r} is there twice, also as {name!r}")
            native[renamed] = tensor
        native = tensors.unify(native)
        if self.mmcv_merging:
            native = tensors.merging_from_mmcv(native)
        return tensors.number_last_norm(native)

    def from_native(self, weights: Weights) -> Weights:
        """Inverse of :meth:`to_native`, with the prefix of published files."""
        if not self.all_norms:
            weights = tensors.keep_last_norm(weights)
        if self.mmcv_merging:
            weights = tensors.merging_to_mmcv(weights)
        if self.split_qkv:
            weights = tensors.split_qkv(weights)
        if self.joined_bias:
            weights = tensors.join_bias(weights)
        return {
            ("" if name.startswith("head.") else self.prefix)
            + self._rename(name, Rename.to_foreign): tensor
            for name, tensor in weights.items()
        }

    def head(self) -> str:
        """Prefix of the classifier's names."""
        return self._rename("head.", Rename.to_foreign)

    def _rename(
        self, name: str, rename: Callable[[Rename, str], tuple[str, str] | None]
    ) -> str:
        for rule in self.others:
            if found := rename(rule, name):
                return "".join(found)
        found = rename(self.block, name)
        if not found:
            return name
        block, rest = found[0] + ".", found[1][1:]
        for rule in self.parts:
            if part := rename(rule, rest):
                return block + "".join(part)
        return block + rest


_BLOCK = "layers.{stage}.blocks.{block}"
_MERGING = "layers.{stage}.downsample"

OFFICIAL = Layout(
    "official",
    ("layers.0.blocks.0.attn.logit_scale",),
    Rename(_BLOCK, _BLOCK),
    parts=(
        Rename("attn.cpb_mlp", "attn.cpb_mlp"),
        Rename("attn.cpb_mlp", "attn.rpe_mlp"),  # SimMIM
    ),
    buffers=True,
)
MMSWINV2 = replace(
    OFFICIAL,
    name="mmswinv2",
    others=(Rename("head", "head.fc"),),
    prefix="backbone.",
    all_norms=True,
    buffers=False,
)
TIMM = replace(
    OFFICIAL,
    name="timm",
    others=(
        Rename(_MERGING, _MERGING, start=1),  # at the start of a stage, not at the end
        Rename("head", "head.fc"),
    ),
    buffers=False,
)
HUGGING_FACE = Layout(
    "hf",
    (
        "encoder.layers.0.blocks.0.attention.self.logit_scale",
        "encoder.layers.0.blocks.0.attention.logit_scale",
    ),
    Rename(_BLOCK, f"encoder.{_BLOCK}"),
    parts=(
        Rename("attn.q_bias", "attention.self.query.bias"),
        Rename("attn.k_bias", "attention.self.key.bias"),
        Rename("attn.v_bias", "attention.self.value.bias"),
        Rename("attn.cpb_mlp", "attention.self.continuous_position_bias_mlp"),
        Rename("attn.proj", "attention.output.dense"),
        Rename("attn", "attention.self"),
        Rename("norm1", "layernorm_before"),  # a misnomer: it stands after
        Rename("norm2", "layernorm_after"),
        Rename("mlp.fc1", "intermediate.dense"),
        Rename("mlp.fc2", "output.dense"),
        # Names of the next major version, read only.
        Rename("attn.q_bias", "attention.q_proj.bias"),
        Rename("attn.k_bias", "attention.k_proj.bias"),
        Rename("attn.v_bias", "attention.v_proj.bias"),
        Rename("attn.query", "attention.q_proj"),
        Rename("attn.key", "attention.k_proj"),
        Rename("attn.value", "attention.v_proj"),
        Rename("attn.proj", "attention.o_proj"),
        Rename("attn.cpb_mlp", "attention.continuous_position_bias_mlp"),
        Rename("attn", "attention"),
    ),
    others=(
        Rename("patch_embed.proj", "embeddings.patch_embeddings.projection"),
        Rename("patch_embed.norm", "embeddings.norm"),
        Rename("absolute_pos_embed", "embeddings.position_embeddings"),
        Rename("mask_token", "embeddings.mask_token"),
        Rename(_MERGING, f"encoder.{_MERGING}"),
        Rename("norm", "layernorm"),
        Rename("head", "classifier"),
    ),
    prefix="swinv2.",
    split_qkv=True,
)
TORCHVISION = Layout(
    "torchvision",
    ("features.1.0.attn.logit_scale",),
    Rename(_BLOCK, "features.{stage}.{block}", step=2, start=1),
    parts=(Rename("mlp.fc1", "mlp.0"), Rename("mlp.fc2", "mlp.3")),
    others=(
        Rename("patch_embed.proj", "features.0.0"),
        Rename("patch_embed.norm", "features.0.2"),
        Rename(f"{_MERGING}.reduction", "features.{stage}.reduction", 2, 2),
        Rename(f"{_MERGING}.norm", "features.{stage}.norm", 2, 2),
    ),
    joined_bias=True,
    buffers=True,
)
MMPRETRAIN = Layout(
    "mmpretrain",
    ("stages.0.blocks.0.attn.w_msa.logit_scale",),
    Rename(_BLOCK, "stages.{stage}.blocks.{block}"),
    parts=(
        Rename("attn", "attn.w_msa"),
        Rename("mlp.fc1", "ffn.layers.0.0"),
        Rename("mlp.fc2", "ffn.layers.1"),
    ),
    others=(
        Rename("patch_embed.proj", "patch_embed.projection"),
        Rename(_MERGING, "stages.{stage}.downsample", start=1),
        Rename("head", "head.fc"),
    ),
    prefix="backbone.",
    all_norms=True,
    mmcv_merging=True,
    buffers=True,
)
LAYOUTS = {
    layout.name: layout
    for layout in (OFFICIAL, TIMM, HUGGING_FACE, TORCHVISION, MMPRETRAIN, MMSWINV2)
}
