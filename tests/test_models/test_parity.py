"""Our features against those of timm and torchvision, on shared random weights.

Their own semantics differ from the official code in cases that are left out here: no
implementation masks padding, timm pads after the shift, torchvision never shrinks a
window to a small map. At 256 px all three are to agree.
"""

import re

import pytest
import timm
import torch
import torch.nn.functional as F
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)

from mmswinv2.models import SwinTransformerV2

WINDOWS = {8: 8, 16: [16, 16, 16, 8]}  # window at 256 px: normaliser per stage


def to_timm(weights):
    """Patch merging stands at the start of the next stage."""
    return {
        re.sub(
            r"^layers\.(\d)\.downsample",
            lambda m: f"layers.{int(m[1]) + 1}.downsample",
            name,
        ): tensor
        for name, tensor in weights.items()
        if not name.startswith("norm") and name != "window_record"
    }


def to_torchvision(weights):
    """Stages and mergings in one list; one bias of q, k and v."""
    names = [
        (r"^patch_embed\.proj\.", "features.0.0."),
        (r"^patch_embed\.norm\.", "features.0.2."),
        (r"^layers\.(\d)\.blocks\.", lambda m: f"features.{2 * int(m[1]) + 1}."),
        (r"^layers\.(\d)\.downsample\.", lambda m: f"features.{2 * int(m[1]) + 2}."),
        (r"\.mlp\.fc1\.", ".mlp.0."),
        (r"\.mlp\.fc2\.", ".mlp.3."),
    ]
    renamed = {}
    for name, tensor in weights.items():
        if name.startswith("norm") or name == "window_record":
            continue
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    for name in [name for name in renamed if name.endswith("q_bias")]:
        q, v = renamed.pop(name), renamed.pop(name.replace("q_bias", "v_bias"))
        bias = torch.cat((q, torch.zeros_like(q), v))
        renamed[name.replace("q_bias", "qkv.bias")] = bias
    return renamed


def load_all_but_buffers(model, weights):
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert not [k for k in missing if not re.search("relative_|^head|^norm", k)]
    return model.eval()


def assert_same_features(ours, theirs):
    """Relative error of every stage's map under 1e-5, before our output norms."""
    for out, expected in zip(ours, theirs, strict=True):
        expected = F.layer_norm(expected, expected.shape[-1:]).permute(0, 3, 1, 2)
        assert (out - expected).norm() < 1e-5 * expected.norm()


def ours(window, trained_like):
    model = trained_like(
        SwinTransformerV2(
            "tiny", window_size=window, pretrained_window_size=WINDOWS[window]
        )
    )
    for i in range(4):  # what is compared is normalised, but not yet scaled
        model.get_submodule(f"norm{i}").reset_parameters()
    return model


@pytest.mark.parametrize("window", WINDOWS)
@torch.no_grad()
def test_every_stage_equals_timm(window, trained_like):
    model = ours(window, trained_like)
    peer = timm.create_model(f"swinv2_tiny_window{window}_256", num_classes=0)
    load_all_but_buffers(peer, to_timm(model.state_dict()))
    image = torch.randn(1, 3, 256, 256)
    _, maps = peer.forward_intermediates(image, norm=False)
    assert_same_features(model(image), [x.permute(0, 2, 3, 1) for x in maps[-4:]])


@pytest.mark.parametrize("window", WINDOWS)
@torch.no_grad()
def test_every_stage_equals_torchvision(window, trained_like):
    """At window 16, all but the last: there torchvision attends to padded tokens."""
    model = ours(window, trained_like)
    peer = SwinTransformer(
        patch_size=[4, 4],
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=[window, window],
        block=SwinTransformerBlockV2,
        downsample_layer=PatchMergingV2,
    )
    load_all_but_buffers(peer, to_torchvision(model.state_dict()))
    image = torch.randn(1, 3, 256, 256)
    maps, x = [], image
    for i, layer in enumerate(peer.features):
        x = layer(x)
        if i % 2 == 1:
            maps.append(x)
    compared = 4 if window == 8 else 3
    assert_same_features(model(image)[:compared], maps[:compared])
