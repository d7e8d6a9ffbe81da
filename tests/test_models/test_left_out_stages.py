"""A backbone whose ``out_indices`` leave out its last stages does without them."""

import re

import pytest
import torch

from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.checkpoints.locate import locate
from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.window_transfer import stage_transfers

IMAGE = torch.rand(1, 3, 70, 52)


def test_nothing_of_them_is_built_and_all_the_rest_trains():
    """As DistributedDataParallel wants it without find_unused_parameters."""
    model = SwinTransformerV2(
        "nano", out_indices=(1, 2), window_size=[8, 8, (6, 4), 4],
        with_cp=[False, True, False, True], frozen_stages=-1,
    )  # fmt: skip
    assert len(model.layers) == 3
    assert model.window_size == ((8, 8), (8, 8), (6, 4))
    maps = model(IMAGE)
    assert [x.shape[1] for x in maps] == [64, 128]
    sum((x * torch.randn_like(x)).sum() for x in maps).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.get_layer_depth("layers.2.blocks.3.mlp.fc1.weight") == (8, 10)
    for windows in ([4, 4, 4, 2], [4, 4, 4], 4, model.window_size):
        model.set_window_size(windows)
    with pytest.raises(ValueError, match="4 of these"):
        model.set_window_size([4, 4, 4, 4, 4])
    frozen = SwinTransformerV2("nano", out_indices=(1,), frozen_stages=4)
    assert not any(p.requires_grad for p in frozen.parameters())


@pytest.mark.parametrize("bias", ["log_cpb", "table"])
def test_weights_of_all_stages_load(bias, trained_like, logs):
    """What is left out is said; what lacks a stage that is built is refused."""
    whole = trained_like(SwinTransformerV2("nano", position_bias=bias))
    some = dict(out_indices=(0, 1), position_bias=bias)
    part = SwinTransformerV2("nano", window_size=4, **some).eval()
    part.load_state_dict(whole.state_dict())
    assert "ignored: norm2.weight, norm2.bias, norm3" in logs[-1]
    assert re.search(r"stage 2 \(\d+ tensors; out_indices end .*stage 3 ", logs[-1])
    assert "window per stage: 8 -> 4, 8 -> 4; normaliser " in logs[-1]
    assert len(stage_transfers(part)) == 2
    part.set_window_size(8)
    if bias == "table":
        part = SwinTransformerV2("nano", **some).eval()
        part.load_state_dict(whole.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(part(IMAGE), whole(IMAGE)):
            torch.testing.assert_close(ours, theirs)
    again = SwinTransformerV2("nano", **some)
    again.load_state_dict(part.state_dict())
    with pytest.raises(RuntimeError, match="do not fit"):
        SwinTransformerV2("nano", position_bias=bias).load_state_dict(
            again.state_dict()
        )
    two = SwinTransformerV2(embed_dims=32, depths=(2, 2), num_heads=(1, 2), **some)
    with pytest.raises(RuntimeError, match="do not fit"):  # it has all of its stages
        two.load_state_dict(whole.state_dict())


@pytest.mark.parametrize("layout", [*LAYOUTS])
def test_weights_load_from_any_layout(layout, trained_like):
    """Merging, which three layouts keep at the next stage, included."""
    whole = trained_like(SwinTransformerV2("nano"))
    state = convert(locate(whole.state_dict()).read(), layout).tensors
    part = SwinTransformerV2("nano", out_indices=(1,), pretrained_window_size=8)
    part.load_state_dict(dict(state))
    own = whole.state_dict()
    for name, tensor in part.state_dict().items():
        if not name.startswith(("norm", "window")):
            assert torch.equal(tensor, own[name]), name
