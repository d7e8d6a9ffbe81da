"""Our features and gradients against those of four implementations, on shared weights.

The weights get there by our converter, which is proven with them. The images are square
and of the training size: there all agree with the official code. Elsewhere they do not:
none masks padding, timm pads after the shift, torchvision never shrinks a window to a
small map.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
import timm
import torch
import torch.nn.functional as F
from tiny import load_script
from torch import Tensor, nn
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)

from mmswinv2.architectures import ARCHITECTURES
from mmswinv2.checkpoints import SwinWeights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.checkpoints.locate import locate
from mmswinv2.checkpoints.windows import effective_windows
from mmswinv2.mmpretrain_import import import_mmpretrain
from mmswinv2.models import SwinTransformerV2

isolated = load_script("benchmarks/backbone/isolated.py")

# window, px, and those of pre-training
CASES = {
    "w8": (8, 256, 8, 256),
    "w16": (16, 256, 16, 256),
    "w12to24": (24, 384, 12, 192),
}


class Case:
    """Ours with random weights, the same weights for others, and an image."""

    def __init__(self, arch, case, trained_like) -> None:
        window, self.px, pretrained, px = CASES[case]
        self.windows = effective_windows(window, self.px)
        self.normalisers = effective_windows(pretrained, px)
        self.arch = ARCHITECTURES[arch]
        self.ours = trained_like(
            SwinTransformerV2(
                arch, window_size=window, pretrained_window_size=self.normalisers
            )
        )
        for i in range(4):  # what is compared is normalised, but not yet scaled
            self.ours.get_submodule(f"norm{i}").reset_parameters()
        tensors = {**self.ours.state_dict()}
        del tensors["window_record"]
        windows = [*zip(self.windows, self.normalisers)]
        self.weights = SwinWeights("mmswinv2", tensors, windows)
        torch.manual_seed(0)
        self.image = torch.randn(1, 3, self.px, self.px)

    def compare(
        self, peer: nn.Module, layout: str, maps: Iterator[Tensor], normed: bool = False
    ) -> None:
        """Features of all stages that the peer gives, and gradients of one scalar.

        Args:
            peer (nn.Module): The other model, its names those of ``layout``.
            layout (str): As above.
            maps (Iterator[Tensor]): Its maps ``(B, C, H, W)``.
            normed (bool): Whether the peer normalises them itself.
        """
        theirs = [
            m if normed else F.layer_norm(m.movedim(1, -1), m.shape[1:2]).movedim(-1, 1)
            for m in maps
        ]
        ours = self.ours(self.image)[: len(theirs)]
        for out, expected in zip(ours, theirs, strict=True):
            assert (out - expected).norm() < 1e-5 * expected.norm()
        weights = [torch.randn_like(out) for out in ours]
        for model, outs in ((self.ours, ours), (peer, theirs)):
            model.zero_grad()
            sum((out * w).sum() for out, w in zip(outs, weights)).backward()
        prefix = LAYOUTS[layout].prefix
        given = LAYOUTS[layout].to_native(
            {
                name.removeprefix(prefix): parameter.grad
                for name, parameter in peer.named_parameters()
                if parameter.grad is not None
            }
        )
        # By kind over all blocks: that of one head's scale alone can nearly cancel.
        kinds = defaultdict(list)
        for name, parameter in self.ours.named_parameters():
            if not name.startswith("norm") and parameter.grad is not None:
                pair = parameter.grad.flatten(), given[name].flatten()
                kinds[re.sub(r"\d+\.blocks\.\d+", "", name)].append(pair)
        assert len(kinds) > 20
        for kind, pairs in kinds.items():
            own, expected = map(torch.cat, zip(*pairs))
            assert (own - expected).norm() < 1e-4 * expected.norm(), kind
        self.check_reading(peer.state_dict())

    def check_reading(self, state_dict: dict[str, Tensor]) -> None:
        """What the peer itself saves is read as the weights that it was given."""
        given, read = self.weights.tensors, locate(state_dict).read().tensors
        for name, tensor in read.items():
            if name in given:
                assert torch.equal(tensor, given[name]), name
        lost = {name for name in given if name not in read}
        assert all(name.startswith("norm") for name in lost)


@pytest.fixture(
    params=[("nano", "w8"), ("nano", "w12to24"), ("tiny", "w16")], ids="-".join
)
def case(request, trained_like) -> Case:
    return Case(*request.param, trained_like)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "weights"


def test_every_stage_equals_timm(case, folder):
    convert(case.weights, "timm").save(folder)
    peer = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    _, maps = peer.forward_intermediates(case.image, norm=False)
    case.compare(peer, "timm", maps[-4:])


def test_every_stage_equals_transformers(case, folder):
    convert(case.weights, "hf").save(folder)
    with isolated.transformers_visible():
        from transformers import Swinv2Backbone

        stages = [f"stage{i}" for i in range(1, 5)]
        peer, info = Swinv2Backbone.from_pretrained(
            folder, out_features=stages, output_loading_info=True
        )
        assert not info["missing_keys"]
        peer.eval()
        case.compare(peer, "hf", peer(case.image).feature_maps)


def test_every_stage_equals_torchvision(case):
    """Where maps are smaller than windows, all but the last: it attends to padding."""
    peer = SwinTransformer(
        patch_size=[4, 4],
        embed_dim=case.arch.embed_dims,
        depths=case.arch.depths,
        num_heads=case.arch.num_heads,
        window_size=case.windows[0],
        stochastic_depth_prob=0.0,
        block=SwinTransformerBlockV2,
        downsample_layer=PatchMergingV2,
    )
    state = convert(case.weights, "torchvision").tensors
    shrunk = {n for n in state if n.startswith("features.7.") and "relative" in n}
    compared = 4 if len({*case.windows}) == 1 else 3
    missing, unexpected = peer.load_state_dict(
        {n: x for n, x in state.items() if compared == 4 or n not in shrunk},
        strict=False,
    )
    assert not unexpected
    assert {n for n in missing if not n.startswith("head.")} == (
        set() if compared == 4 else shrunk
    )
    maps, x = [], case.image
    for i, layer in enumerate(peer.eval().features):
        x = layer(x)
        if i % 2 == 1:
            maps.append(x.permute(0, 3, 1, 2))
    case.compare(peer, "torchvision", maps[:compared])


def test_every_stage_equals_mmpretrain(case):
    import_mmpretrain()
    from mmpretrain.models import SwinTransformerV2 as Peer

    numbers = dict(
        embed_dims=case.arch.embed_dims,
        depths=case.arch.depths,
        num_heads=case.arch.num_heads,
        extra_norm_every_n_blocks=0,
    )
    peer = Peer(
        numbers,
        img_size=case.px,
        window_size=[h for h, _ in case.windows],
        pretrained_window_sizes=[h for h, _ in case.normalisers],
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.0,
    )
    state = convert(case.weights, "mmpretrain").tensors
    state = {name.removeprefix("backbone."): x for name, x in state.items()}
    missing, unexpected = peer.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("relative_" in name for name in missing)  # its own hook drops them
    peer.eval()
    case.compare(peer, "mmpretrain", peer(case.image), normed=True)
