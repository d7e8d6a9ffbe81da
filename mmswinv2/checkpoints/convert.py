"""Write Swin V2 weights as other implementations keep them."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from mmswinv2.ops.log_coords import log_spaced_coords

from .checksums import sealed
from .layouts import LAYOUTS, Layout
from .locate import SwinWeights
from .position_biases import position_bias_of
from .shapes import check_complete
from .sources import WINDOWS_KEY
from .tensors import Weights, last_stage, num_axes
from .whole_files import save_whole, whole_file, write_whole
from .windows import (
    PATCH_SIZE,
    WINDOW_RECORD,
    StageWindows,
    Window,
    effective_windows,
    record_of,
)

MAX_INDEXED = 64**2  # tokens of a window, of which a block's index has 128 MiB


@dataclass
class Converted:
    """Weights in a layout, ready to be saved.

    Attributes:
        layout (str): The layout.
        tensors (dict[str, Tensor]): By the layout's names.
        windows (list): (window, normaliser) per stage.
        weights (SwinWeights): What they were made from.
        left_out (list[str]): Names that the layout has no place for.
        image_size (tuple[int, int], optional): Height and width in px of training, for
            the configuration of 'hf' and 'timm'. Defaults to None: the smallest at
            which one window becomes those of all stages.
    """

    layout: str
    tensors: Weights
    windows: StageWindows
    weights: SwinWeights
    left_out: list[str] = field(default_factory=list)
    image_size: Window | None = None

    @property
    def training_image(self) -> Window:
        """Image (height, width) in px at which one window becomes that of every stage.

        Raises:
            ValueError: If no size does that, or not the one that was given.
        """
        windows = [window for window, _ in self.windows]
        stages = len(windows)
        image = self.image_size
        if image is None:
            stride = PATCH_SIZE * 2 ** (stages - 1)
            image = tuple(size * stride for size in windows[-1])
        if fits_image(windows, image):
            return image
        if self.image_size:
            raise ValueError(
                f"--image-size {image[0]} {image[1]}: a '{self.layout}' model of this "
                "size has the windows "
                f"{effective_windows(windows[0], image, stages)}, but these weights "
                f"have {windows}. Give the size that was trained"
            )
        raise ValueError(
            f"a '{self.layout}' model has one window, no larger than the map, for "
            f"all stages; these weights have {windows}. Give a .safetensors file, "
            "which keeps them for mmswinv2, and set the window yourself"
        )

    def save(self, path: Path) -> None:
        """Write a ``.pth`` or ``.safetensors`` file, or a folder for 'hf' and 'timm'.

        Args:
            path (Path): A new file; without a suffix, a new folder.

        Raises:
            FileExistsError: If it is there already.
            ValueError: If the layout is not kept in such a file, or a folder's
                configuration cannot say these windows.
        """
        if path.exists():
            raise FileExistsError(f"{path} exists already; remove it or name another")
        path.parent.mkdir(parents=True, exist_ok=True)
        config = _CONFIGS.get(self.layout)
        if path.suffix == ".safetensors":
            self._save_tensors(path)
        elif path.suffix in (".pth", ".pt", ".bin") and config is None:
            wrapper = _WRAPPERS.get(self.layout)
            content = {wrapper: self.tensors} if wrapper else self.tensors
            meta: dict[str, dict] = {"meta": {}} if wrapper == "state_dict" else {}
            save_whole(content | meta, path)
        elif not path.suffix and config is not None:
            text = json.dumps(config(self), indent=2)
            path.mkdir()
            try:
                self._save_tensors(path / "model.safetensors")
                write_whole(path / "config.json", text + "\n")
            except BaseException:
                shutil.rmtree(path)
                raise
        else:
            kinds = ".safetensors or a folder" if config else ".pth or .safetensors"
            raise ValueError(f"{path}: '{self.layout}' weights are kept in {kinds}")

    def _save_tensors(self, path: Path) -> None:
        record = {"format": "pt", WINDOWS_KEY: json.dumps(self.windows)}
        record = sealed(self.tensors, record)
        with whole_file(path) as unfinished:
            save_file(self.tensors, unfinished, metadata=record)


def convert(
    weights: SwinWeights, layout: str, image_size: Window | None = None
) -> Converted:
    """Bring weights to a layout, exactly: reading them gives the same tensors.

    Args:
        weights (SwinWeights): As :func:`read_swin_weights` gives them.
        layout (str): One of ``LAYOUTS``.
        image_size (tuple[int, int], optional): As in :class:`Converted`.

    Returns:
        Converted: To be saved.

    Raises:
        ValueError: If the layout or the windows are not known.
        RuntimeError: If the weights are not a whole backbone.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    if weights.windows is None:
        raise ValueError(
            "the weights do not tell the window they were trained with: give it, such "
            "as 8 or 16,16,16,8"
        )
    if num_axes(weights.tensors) == 3 and layout != "mmswinv2":
        raise ValueError(
            f"the weights are of videos, which no '{layout}' model takes; only the "
            "layout 'mmswinv2' has them"
        )
    bias = position_bias_of(weights.tensors)
    if bias != "log_cpb":
        raise ValueError(
            f"the weights have position_bias={bias!r}, which no other implementation "
            "of Swin V2 has"
        )
    check_complete(weights)
    target = LAYOUTS[layout]
    last = f"norm{last_stage(weights.tensors)}."
    placed = {k: v for k, v in weights.tensors.items() if _has_place(target, k, last)}
    tensors = target.from_native(
        placed | _buffers(weights.windows, weights.architecture.depths, target)
    )
    return Converted(
        layout=layout,
        tensors={name: tensor.contiguous() for name, tensor in tensors.items()},
        windows=weights.windows,
        weights=weights,
        left_out=[name for name in weights.tensors if name not in placed],
        image_size=image_size,
    )


def _has_place(layout: Layout, name: str, last_norm: str) -> bool:
    if name == "mask_token":
        return layout.name == "hf"
    return layout.all_norms or not name.startswith("norm") or name.startswith(last_norm)


def _buffers(windows: StageWindows, depths: Sequence[int], layout: Layout) -> Weights:
    """What the layout keeps beside the parameters to know its windows."""
    if layout.name == "mmswinv2":
        return {WINDOW_RECORD: record_of(windows)}
    buffers: Weights = {}
    if not layout.buffers:
        return buffers
    for stage, (window, normaliser) in enumerate(windows):
        if math.prod(window) > MAX_INDEXED:
            raise ValueError(
                f"a '{layout.name}' file has an index of all pairs of tokens, which "
                f"a window of {window[0]}x{window[1]} makes too large; choose timm, hf "
                "or mmswinv2"
            )
        coords = log_spaced_coords(window, normaliser)[None]
        index = _position_index(window)
        if layout.name == "torchvision":
            index = index.flatten()
        for block in range(depths[stage]):
            prefix = f"layers.{stage}.blocks.{block}.attn.relative_"
            buffers[f"{prefix}coords_table"] = coords.clone()
            buffers[f"{prefix}position_index"] = index.clone()
    return buffers


def _position_index(window: Window) -> torch.Tensor:
    """Row of the flat bias table for every (query, key), ``(N, N)``."""
    h, w = window
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    dy, dx = (axis.flatten()[:, None] - axis.flatten()[None] for axis in (y, x))
    return (dy + h - 1) * (2 * w - 1) + dx + w - 1


def fits_image(windows: list[Window], image: Window) -> bool:
    """Whether one window, that of stage 0, becomes those of all stages at a size."""
    stages = len(windows)
    used = [
        effective_windows(window, image, stages)[stage]
        for stage, window in enumerate(windows)
    ]
    return effective_windows(windows[0], image, stages) == used


def _hf_config(converted: Converted) -> dict:
    arch = converted.weights.architecture
    image = converted.training_image
    sizes = [image, *(size for stage in converted.windows for size in stage)]
    if any(h != w for h, w in sizes):
        raise ValueError(
            f"Hugging Face's Swinv2 has square windows only; these are {sizes[1:]}"
        )
    head = converted.tensors.get("classifier.weight")
    config = {
        "model_type": "swinv2",
        "architectures": ["Swinv2Model"],
        "image_size": image[0],
        "patch_size": PATCH_SIZE,
        "num_channels": _stem(converted).shape[1],
        "embed_dim": arch.embed_dims,
        "depths": arch.depths,
        "num_heads": arch.num_heads,
        "window_size": converted.windows[0][0][0],
        "pretrained_window_sizes": [unit[0] for _, unit in converted.windows],
        "mlp_ratio": _mlp_ratio(converted),
        "qkv_bias": _qkv_bias(converted),
        "layer_norm_eps": 1e-5,
    }
    if head is not None:
        config["architectures"] = ["Swinv2ForImageClassification"]
        config["id2label"] = {str(i): f"LABEL_{i}" for i in range(len(head))}
    return config


def _timm_config(converted: Converted) -> dict:
    arch = converted.weights.architecture
    image = converted.training_image
    head = converted.tensors.get("head.fc.weight")
    num_classes = 0 if head is None else len(head)
    # The architecture is a starting point that timm knows; the arguments make it ours.
    return {
        "architecture": "swinv2_tiny_window8_256",
        "num_classes": num_classes,
        "num_features": arch.embed_dims * 2 ** (len(arch.depths) - 1),
        "model_args": {
            "img_size": image,
            "window_size": converted.windows[0][0],
            "pretrained_window_sizes": [unit for _, unit in converted.windows],
            "embed_dim": arch.embed_dims,
            "depths": arch.depths,
            "num_heads": arch.num_heads,
            "mlp_ratio": _mlp_ratio(converted),
            "qkv_bias": _qkv_bias(converted),
            "in_chans": _stem(converted).shape[1],
        },
        "pretrained_cfg": {
            "input_size": [_stem(converted).shape[1], *image],
            "fixed_input_size": True,
            "num_classes": num_classes,
            "first_conv": "patch_embed.proj",
            "classifier": "head.fc",
        },
    }


def _stem(converted: Converted) -> torch.Tensor:
    return converted.weights.tensors["patch_embed.proj.weight"]


def _mlp_ratio(converted: Converted) -> float:
    hidden = converted.weights.tensors["layers.0.blocks.0.mlp.fc1.weight"]
    return len(hidden) / hidden.shape[1]


def _qkv_bias(converted: Converted) -> bool:
    return "layers.0.blocks.0.attn.q_bias" in converted.weights.tensors


_WRAPPERS = {
    "official": "model",
    "mmpretrain": "state_dict",
    "mmswinv2": "state_dict",
}
_CONFIGS: dict[str, Callable[[Converted], dict]] = {
    "hf": _hf_config,
    "timm": _timm_config,
}
