"""Swin V2 backbones of five projects, with the same weights, for one image size.

Each contender is a module that maps images ``(B, 3, height, width)`` to the maps of all
stages. Of clips, ``(B, 3, frames, height, width)``, there is Video Swin V1 alone beside
ours, with weights of its own, and both give the last map. What a project cannot build
or run raises its own error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from isolated import transformers_visible
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
WITHOUT_OPENCV = find_spec("cv2") is None
if WITHOUT_OPENCV:  # mmengine imports it to draw pictures, and nothing here does
    sys.modules["cv2"] = ModuleType("cv2")

from mmswinv2.architectures import ARCHITECTURES  # noqa: E402
from mmswinv2.checkpoints import SwinWeights  # noqa: E402
from mmswinv2.checkpoints.convert import convert  # noqa: E402
from mmswinv2.checkpoints.windows import effective_windows  # noqa: E402
from mmswinv2.mmpretrain_import import import_mmpretrain  # noqa: E402
from mmswinv2.models import SwinTransformerV2  # noqa: E402

if WITHOUT_OPENCV:
    del sys.modules["cv2"]  # others ask whether it is there

Size = tuple[int, ...]  # height and width in px, of clips frames before them


def parse_size(text: str) -> int | Size:
    """A number, or several as in '8x7x7'."""
    numbers = tuple(map(int, text.split("x")))
    return numbers if len(numbers) > 1 else numbers[0]


def write_size(size: int | Size) -> str:
    """Inverse of :func:`parse_size`."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


class Maps(nn.Module):
    """A model and the call that gives its maps."""

    def __init__(self, model: nn.Module, call: Callable) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps of all stages."""
        return self.call(self.model, image)


def ours(
    arch: str, size: Size, window: int, attention: str = "auto", seed: int = 0
) -> nn.Module:
    """This project's backbone."""
    torch.manual_seed(seed)
    model = SwinTransformerV2(
        arch,
        window_size=window,
        pretrained_window_size=8,
        drop_path_rate=0.0,
        attention=attention,
    )
    return _awake(model)


def ours_of_clips(arch: str, size: Size, window: Size) -> nn.Module:
    """This project's backbone of clips."""
    from mmswinv2.video.backbone import VideoSwinTransformerV2  # with all of video/

    return _awake(
        VideoSwinTransformerV2(
            arch, window_size=window, drop_path_rate=0.0, out_indices=(3,)
        )
    )


def _awake(model: nn.Module) -> nn.Module:
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and "norm" in name:  # branches start at zero
            nn.init.normal_(parameter, float(name.endswith("weight")), 0.1)
    return model


def _weights(arch: str, size: Size, window: int, layout: str) -> dict[str, Tensor]:
    tensors = dict(ours(arch, size, window).state_dict())
    del tensors["window_record"]
    windows = [((8, 8), (8, 8))] * 4  # buffers are made anew by everyone
    converted = convert(SwinWeights("mmswinv2", tensors, windows), layout).tensors
    return {n: t for n, t in converted.items() if "relative_" not in n}


def _load(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    if [name for name in unexpected if not name.startswith(("norm", "swinv2.layern"))]:
        raise RuntimeError(f"weights without a place: {unexpected[:3]}")
    return model


def of_timm(arch: str, size: Size, window: int) -> nn.Module:
    """timm: a fixed image size."""
    import timm

    numbers = ARCHITECTURES[arch]
    model = timm.create_model(
        "swinv2_tiny_window8_256",
        img_size=size,
        window_size=window,
        pretrained_window_sizes=(8,) * 4,
        embed_dim=numbers.embed_dims,
        depths=numbers.depths,
        num_heads=numbers.num_heads,
        num_classes=0,
        drop_path_rate=0.0,
    )
    _load(model, _weights(arch, size, window, "timm"))
    return Maps(model, lambda m, x: m.forward_intermediates(x, norm=False)[1][-4:])


def of_transformers(arch: str, size: Size, window: int) -> nn.Module:
    """transformers: windows are fitted to the height given at construction."""
    with transformers_visible():
        from transformers import Swinv2Backbone, Swinv2Config

        numbers = ARCHITECTURES[arch]
        config = Swinv2Config(
            image_size=size,
            window_size=window,
            pretrained_window_sizes=[8] * 4,
            embed_dim=numbers.embed_dims,
            depths=numbers.depths,
            num_heads=numbers.num_heads,
            drop_path_rate=0.0,
            out_features=[f"stage{i}" for i in range(1, 5)],
        )
        model = Swinv2Backbone(config)
        weights = _weights(arch, size, window, "hf")
        _load(
            model,
            {
                n.removeprefix("swinv2."): t
                for n, t in weights.items()
                if "swinv2.layernorm" not in n
            },
        )
        model(torch.zeros(1, 3, 64, 64))  # imports the rest of what it needs
    return Maps(model, lambda m, x: m(x).feature_maps)


def of_torchvision(arch: str, size: Size, window: int) -> nn.Module:
    """torchvision: windows never shrink to small maps."""
    from torchvision.models.swin_transformer import (
        PatchMergingV2,
        SwinTransformer,
        SwinTransformerBlockV2,
    )

    numbers = ARCHITECTURES[arch]
    model = SwinTransformer(
        patch_size=[4, 4],
        embed_dim=numbers.embed_dims,
        depths=numbers.depths,
        num_heads=numbers.num_heads,
        window_size=[window, window],
        stochastic_depth_prob=0.0,
        block=SwinTransformerBlockV2,
        downsample_layer=PatchMergingV2,
    )
    _load(model, _weights(arch, size, window, "torchvision"))

    def maps(model: nn.Module, x: Tensor) -> list[Tensor]:
        found = []
        for i, layer in enumerate(model.features):
            x = layer(x)
            if i % 2:
                found.append(x.permute(0, 3, 1, 2))
        return found

    return Maps(model, maps)


def of_torchvision_of_clips(arch: str, size: Size, window: Size) -> nn.Module:
    """torchvision: Video Swin V1."""
    from torchvision.models.video.swin_transformer import SwinTransformer3d

    numbers = ARCHITECTURES[arch]
    model = SwinTransformer3d(
        patch_size=[2, 4, 4],
        embed_dim=numbers.embed_dims,
        depths=numbers.depths,
        num_heads=numbers.num_heads,
        window_size=[*window],
        stochastic_depth_prob=0.0,
    )
    return Maps(model, lambda m, x: [m.norm(m.features(m.patch_embed(x)))])


def of_mmpretrain(arch: str, size: Size, window: int) -> nn.Module:
    """mmpretrain: small maps are padded to the window."""
    import_mmpretrain()
    from mmpretrain.models import SwinTransformerV2 as Model

    numbers = ARCHITECTURES[arch]
    model = Model(
        dict(
            embed_dims=numbers.embed_dims,
            depths=numbers.depths,
            num_heads=numbers.num_heads,
            extra_norm_every_n_blocks=0,
        ),
        img_size=size,
        window_size=[h for h, _ in effective_windows(window, min(size))],
        pretrained_window_sizes=[8] * 4,
        pad_small_map=True,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.0,
    )
    weights = _weights(arch, size, window, "mmpretrain")
    _load(model, {n.removeprefix("backbone."): t for n, t in weights.items()})
    return Maps(model, lambda m, x: [*m(x)])


CONTENDERS: dict[str, Callable[..., nn.Module]] = {
    "ours": ours,
    "timm": of_timm,
    "transformers": of_transformers,
    "torchvision": of_torchvision,
    "mmpretrain": of_mmpretrain,
}
CONTENDERS_OF_CLIPS: dict[str, Callable[..., nn.Module]] = {
    "ours": ours_of_clips,
    "torchvision": of_torchvision_of_clips,
}
