"""Names of tensors in published files, and what other files look like.

A new layout is one entry in ``LAYOUTS``: how to recognise it and how to bring it to the
names of this package.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

Weights = dict[str, Tensor]
LAST_STAGE = 3


@dataclass(frozen=True)
class Layout:
    """A naming scheme of Swin V2 weights.

    Attributes:
        name (str): Name in reports.
        recognise (Callable): Whether a set of tensor names is in this layout.
        to_native (Callable): Brings weights to the names of this package.
    """

    name: str
    recognise: Callable[[Collection[str]], bool]
    to_native: Callable[[Weights], Weights]


def _official_to_native(weights: Weights) -> Weights:
    """Names are ours but for ``norm``, which normalises the last stage's output."""
    return {
        re.sub(r"^norm\.", f"norm{LAST_STAGE}.", name): tensor
        for name, tensor in weights.items()
    }


LAYOUTS = (
    Layout("mmswinv2", lambda names: "window_record" in names, dict),
    Layout(
        "official",
        lambda names: (
            {
                "patch_embed.proj.weight",
                "layers.0.blocks.0.attn.logit_scale",
                "layers.0.blocks.0.attn.cpb_mlp.0.weight",
            }.issubset(names)
            # timm has patch merging at the start of the next stage
            and not any(name.startswith("layers.3.downsample.") for name in names)
        ),
        _official_to_native,
    ),
)

# Files that people try, each by a name that no Swin V2 layout read here has.
_OTHERS = (
    (r"relative_position_bias_table", "Swin Transformer V1 (a table of biases)"),
    (r"\brpe_mlp\b|^encoder\.mask_token", "SimMIM pre-training of Swin V2"),
    (r"^layers\.3\.downsample\.", "timm's Swin V2"),
    (r"embeddings\.patch_embeddings", "a Hugging Face model"),
    (r"^features\.0\.0\.", "a torchvision model"),
    (r"\bw_msa\b", "mmpretrain's Swin"),
    (r"^blocks\.\d+\.attn\.qkv|^layers\.\d+\.attn\.attn|^pos_embed$", "a plain ViT"),
    (r"\blayer1\.0\.conv1\.", "a ResNet"),
)


def find_layout(names: Collection[str]) -> Layout | None:
    """The layout of a set of tensor names, or None."""
    return next((layout for layout in LAYOUTS if layout.recognise(names)), None)


def describe(weights: Mapping[str, Tensor]) -> str:
    """One phrase for weights of an unknown layout."""
    for pattern, what in _OTHERS:
        if any(re.search(pattern, name) for name in weights):
            return f"this looks like {what}"
    if not weights:
        return "the checkpoint has no tensors for this backbone"
    return f"its names are in no known layout (first: {', '.join([*weights][:3])})"


def architecture(weights: Mapping[str, Tensor]) -> str:
    """Widths and depths of native Swin V2 weights, for messages."""
    dims = weights["patch_embed.proj.weight"].shape[0]
    depths: dict[int, int] = {}
    for name in weights:
        if match := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name):
            stage, block = map(int, match.groups())
            depths[stage] = max(depths.get(stage, 0), block + 1)
    return f"embed_dims={dims}, depths={tuple(depths[i] for i in sorted(depths))}"
