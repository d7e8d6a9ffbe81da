"""Find Swin V2 weights in whatever was saved, and say what else it looks like."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mmswinv2.architectures import Architecture

from .contents import check_count
from .layouts import LAYOUTS, MMSWINV2, OFFICIAL, TIMM, Layout
from .pickles import ContentError
from .tensors import STEM, Weights, last_stage, length, num_axes
from .windows import WINDOW_RECORD, StageWindows, check_windows, windows_of_buffers

# Rebuilt for the window in use, never loaded.
_BUFFERS = re.compile(r"(relative_coords_table|relative_position_index|attn_mask)$")
_BLOCK_NAME = re.compile(r"layers\.([0-7])\.blocks\.([0-9]{1,3})\.(.+)")
# Where training code keeps weights; the first that holds Swin V2 is taken.
_WRAPPERS = ("state_dict", "model", "module", "state_dict_ema", "model_ema", "ema")
# The classifier in models of mmpretrain, and in whatever read_checkpoint gives.
CLASSIFIER = "head.fc."
DECODER = "neck.decoder."  # likewise, of SimMIM
TOKEN_CLASSIFIER = "head.aux."  # of Token Labeling
# Preferred where there is more than one model, such as one and its moving average.
_USUAL_PREFIXES = ("", "backbone.", "encoder.", "swinv2.")
# Parts of names that torch's wrappers of modules insert.
_INSERTED = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
# Files that people try, each by a name that no Swin V2 layout read here has.
_OTHERS = (
    (r"\bmeta_mlp\.|\.meta_network\.|attn\.tau$", "timm's swinv2_cr, another network"),
    (r"relative_position_bias_table", "Swin Transformer V1 (a table of biases)"),
    (r"^blocks\.\d+\.attn\.qkv|^layers\.\d+\.attn\.attn|^pos_embed$", "a plain ViT"),
    (r"\blayer1\.0\.conv1\.", "a ResNet"),
    (r"\bstages\.0\.(blocks\.)?0\.(depthwise_conv|conv_dw|dwconv)", "a ConvNeXt"),
)


@dataclass
class SwinWeights:
    """Swin V2 weights as a file has them, by the names of this package.

    Attributes:
        layout (str): Layout of the file, one of ``LAYOUTS``.
        tensors (dict[str, Tensor]): All but buffers; the classifier, if there is one,
            as ``head.*``.
        windows (list | None): (window, normaliser) per stage, each (h, w) in tokens, of
            videos (t, h, w), or None where the file does not tell.
        unused (list[str]): Names in the file that are not of the backbone.
        protection (str): Checksums that tell that the file is as it was written.
    """

    layout: str
    tensors: Weights
    windows: StageWindows | None
    unused: list[str] = field(default_factory=list)
    protection: str = "none"

    @property
    def architecture(self) -> Architecture:
        """Widths, depths and heads that the tensors have."""
        return architecture_of(self.tensors)


@dataclass
class Location:
    """Where Swin V2 weights are in a state dict.

    Attributes:
        layout (Layout): Layout of the names.
        prefix (str): What stands before each of them.
        state_dict (dict): All tensors, names of torch's wrappers removed.
        wrapper (str | None): Entry of the checkpoint that is the state dict.
    """

    layout: Layout
    prefix: str
    state_dict: Weights
    wrapper: str | None

    def own(self) -> Weights:
        """The weights by the layout's names, the classifier's among them."""
        own = {
            name[len(self.prefix) :]: tensor
            for name, tensor in self.state_dict.items()
            if name.startswith(self.prefix)
        }
        head = {own: self.state_dict[name] for name, own in self._head().items()}
        return own | head

    def _head(self) -> dict[str, str]:
        """Names of the classifier's tensors, and those that the layout has for them."""
        outer = outside_of_backbone(self.prefix)
        own = self.layout.head()
        return {
            f"{outer}{head}{part}": f"{own}{part}"
            for head in (CLASSIFIER, own)
            for part in ("weight", "bias")
            if f"{outer}{head}{part}" in self.state_dict
        }

    def read(self, windows: StageWindows | None = None) -> SwinWeights:
        """Bring them to the names of this package.

        Args:
            windows (list, optional): Windows, for a file that does not tell them.

        Raises:
            RuntimeError: If they contradict themselves.
            ValueError: If their windows are none, or not one per stage, or their
                coordinates not log-spaced.
        """
        native = self.layout.to_native(self.own())
        windows = windows_of_buffers(native) or windows
        if windows:
            check_windows(windows, last_stage(native) + 1, num_axes(native))
        return SwinWeights(
            layout=self.layout.name,
            tensors={
                name: tensor
                for name, tensor in native.items()
                if name != WINDOW_RECORD and not _BUFFERS.search(name)
            },
            windows=windows,
            unused=[
                name
                for name in self.state_dict
                if not name.startswith(self.prefix) and name not in self._head()
            ],
        )


def outside_of_backbone(prefix: str) -> str:
    """What stands before the names beside a backbone, of which ``prefix`` is that."""
    return re.sub(r"(backbone|swinv2)\.$", "", prefix)


def locate(checkpoint: Mapping) -> Location | None:
    """Find Swin V2 weights in a checkpoint of any known layout.

    Args:
        checkpoint (Mapping): A state dict, or what holds one as ``'state_dict'``,
            ``'model'`` and the like.

    Returns:
        Location | None: Where they are, None where there are none.

    Raises:
        RuntimeError: If there are several such models.
        ValueError: If there are names that are none, or too many.
    """
    nested = [(wrapper, checkpoint.get(wrapper)) for wrapper in _WRAPPERS]
    for wrapper, entry in [(None, checkpoint), *nested]:
        if not isinstance(entry, Mapping):
            continue
        weights = {
            _INSERTED.sub("", _checked(name)): tensor
            for name, tensor in entry.items()
            if isinstance(tensor, Tensor)
        }
        try:
            check_count(weights)
        except ContentError as error:
            raise ValueError(f"the checkpoint {error}") from error
        if found := _find_layout(weights):
            return Location(*found, weights, wrapper)
    return None


def _checked(name: object) -> str:
    """A tensor's name, which messages can show."""
    if not isinstance(name, str) or len(name) > 500 or not name.isprintable():
        raise ValueError(
            f"the checkpoint has a tensor by the name {str(name)[:60]!r}, expected a "
            "state dict: names such as 'layers.0.blocks.0.attn.logit_scale'"
        )
    return name


def _find_layout(names: Collection[str]) -> tuple[Layout, str] | None:
    """(layout, prefix) of the Swin V2 names among others."""
    found = {
        name.removesuffix(marker): layout
        for layout in LAYOUTS.values()
        for marker in layout.markers
        for name in names
        if f".{name}".endswith(f".{marker}")
    }
    if not found:
        return None
    prefix, *more = sorted(found, key=lambda p: (p not in _USUAL_PREFIXES, p))
    if more and prefix not in _USUAL_PREFIXES:
        raise RuntimeError(
            f"there are several Swin V2 models, under {', '.join(sorted(found))}: save "
            "the wanted one alone"
        )
    layout = found[prefix]
    if layout.markers == OFFICIAL.markers:  # three layouts share their blocks
        local = {n[len(prefix) :] for n in names if n.startswith(prefix)}
        merged = {n.split(".")[1] for n in local if re.match(r"layers\.\d+\.down", n)}
        if merged and "0" not in merged:
            layout = TIMM
        elif WINDOW_RECORD in local and any(re.match(r"norm\d", n) for n in local):
            layout = MMSWINV2
        else:
            layout = OFFICIAL
    return layout, prefix


def describe(checkpoint: Mapping) -> str:
    """One phrase for a checkpoint without Swin V2 weights."""
    names = [*checkpoint]
    for wrapper in _WRAPPERS:
        if isinstance(checkpoint.get(wrapper), Mapping):
            names = [*checkpoint[wrapper]]
            break
    for pattern, what in _OTHERS:
        if any(re.search(pattern, str(name)) for name in names):
            return f"this looks like {what}"
    if not names:
        return "the checkpoint has no tensors for this backbone"
    first = ", ".join(map(str, names[:3]))
    return f"its names are in no known layout (first: {first})"


def architecture_of(weights: Weights) -> Architecture:
    """Numbers of an architecture, read from weights by the names of this package."""
    blocks: dict[int, int] = {}
    heads: dict[int, int] = {}
    extra = 0
    for name, tensor in weights.items():
        if match := _BLOCK_NAME.match(name):
            stage, block = int(match[1]), int(match[2])
            blocks[stage] = max(blocks.get(stage, 0), block + 1)
            if match[3] == "attn.logit_scale":
                heads[stage] = length(tensor)
            if match[3] == "norm3.weight":
                extra = min(extra or block + 1, block + 1)
    stages = range(last_stage(weights) + 1)
    stem = weights.get(STEM)
    return Architecture(
        0 if stem is None else length(stem),
        tuple(blocks.get(i, 0) for i in stages),
        tuple(heads.get(i, 0) for i in stages),
        extra,
    )
