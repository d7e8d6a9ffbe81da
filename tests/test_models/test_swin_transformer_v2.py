import copy

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmseg.registry import MODELS as MMSEG_MODELS

from mmswinv2.models import ARCHITECTURES, SwinTransformerV2

# (embed_dims, parameters of the backbone without output norms), facts of the paper
SIZES = {"tiny": 27.58e6, "small": 48.96e6, "base": 86.89e6, "large": 195.20e6}


def saved_bytes(model, image):
    """Bytes that the forward pass keeps for the backward pass."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = (
            tensor.untyped_storage().nbytes()
        )
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outs = model(image)
    return sum(storages.values()), outs


# Maps


@pytest.mark.parametrize("fit", ["shrink", "pad", "divide"])
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (32, 32), (65, 100), (130, 57)])
def test_takes_images_of_any_size(size, fit):
    model = SwinTransformerV2("nano", window_size=[(4, 6), 8, 7, 8], window_fit=fit)
    maps = model(torch.rand(2, 3, *size))
    for i, out in enumerate(maps):
        stride = 4 * 2**i
        expected = [-(-length // stride) for length in size]
        assert out.shape == (2, 32 * 2**i, *expected)
        assert out.isfinite().all()
        assert out.is_contiguous()  # mmcv's RoIAlign reads other memory wrongly


@pytest.mark.parametrize("fit", ["shrink", "pad", "divide"])
@pytest.mark.parametrize("size", [(72, 104), (40, 33), (100, 61)])
def test_sdpa_equals_the_reference(size, fit, trained_like):
    image = torch.randn(2, 3, *size)
    models = [
        trained_like(SwinTransformerV2("nano", window_fit=fit, attention=attention))
        for attention in ("reference", "sdpa")
    ]
    with torch.no_grad():
        for expected, out in zip(*(model(image) for model in models), strict=True):
            torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)


def test_a_shrunk_window_equals_a_window_of_that_size(trained_like):
    """A map of 6 x 10 tokens under window 8: as (6, 8), with the bias of window 8."""
    image = torch.randn(1, 3, 24, 40)
    shrunk = trained_like(SwinTransformerV2("nano", window_size=8, out_indices=[0]))
    exact = trained_like(
        SwinTransformerV2(
            "nano", window_size=(6, 8), pretrained_window_size=8, out_indices=[0]
        )
    )
    assert torch.equal(shrunk(image)[0], exact(image)[0])


def test_padding_to_a_window_changes_no_token(trained_like):
    """A 6 x 6 map in a padded window of 8 equals the shrunk window of 6."""
    image = torch.randn(1, 3, 24, 24)
    maps = [
        trained_like(SwinTransformerV2("nano", window_fit=fit, out_indices=[0]))(image)[
            0
        ]
        for fit in ("pad", "shrink")
    ]
    torch.testing.assert_close(*maps, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", range(17, 32))
def test_what_a_shift_joins_does_not_see_each_other(size, trained_like):
    """With shift 4, rows 8 and up never react to the first rows (timm's do)."""
    model = trained_like(SwinTransformerV2("nano", window_size=8, out_indices=[0]))
    image = torch.randn(1, 3, 4 * size, 32)
    changed = image.clone()
    changed[:, :, :8] += 1
    difference = (model(image)[0] - model(changed)[0]).abs().amax((0, 1, 3))
    assert difference[:8].min() > 0 and difference[12:].max() == 0


# Precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_with_padding_has_finite_outputs_and_gradients(
    dtype, trained_like
):
    model = trained_like(SwinTransformerV2("nano", window_size=8)).train()
    image = torch.randn(1, 3, 60, 84)
    with torch.autocast("cpu", dtype):
        maps = model(image)
    (1024 * sum(out.float().square().mean() for out in maps)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
    for out in model.to(dtype)(image.to(dtype)):
        assert out.dtype == dtype and out.isfinite().all()


# Training


def test_every_block_starts_as_the_identity_also_after_init_weights():
    model = SwinTransformerV2("nano")
    model.init_weights()
    tokens = torch.randn(1, 8, 8, 32)
    assert torch.equal(model.layers[0](tokens), tokens)
    std = model.layers[0].blocks[0].mlp.fc1.weight.std().item()
    assert std == pytest.approx(0.02, rel=0.05)


def test_other_init_cfg_wins():
    init_cfg = dict(type="Constant", layer="LayerNorm", val=1)
    model = SwinTransformerV2("nano", init_cfg=init_cfg)
    model.init_weights()
    assert model.layers[0].blocks[0].norm1.weight.eq(1).all()


@pytest.mark.parametrize("frozen", [-1, 0, 2, 4])
def test_frozen_stages_as_in_mmdet(frozen):
    model = SwinTransformerV2("nano", frozen_stages=frozen, drop_path_rate=0.5)
    model.train()
    trained = {
        name.split(".blocks")[0]
        for name, p in model.named_parameters()
        if p.requires_grad
    }
    assert ("patch_embed.proj.weight" in trained) == (frozen < 0)
    for i in range(4):
        assert (f"layers.{i}" in trained) == (i >= frozen)
        assert (f"norm{i}.weight" in trained) == (i >= frozen)
        assert model.layers[i].training == (i >= frozen)


def test_train_and_eval_return_the_model():
    model = SwinTransformerV2("nano")
    assert model.eval() is model and model.train() is model


@pytest.mark.parametrize("with_cp", [True, [True, False, True, False]])
def test_checkpointing_saves_memory_and_keeps_gradients(with_cp, trained_like):
    image = torch.randn(1, 3, 64, 64)
    results = []
    for cp in (False, with_cp):
        model = trained_like(SwinTransformerV2("nano", with_cp=cp))
        saved, maps = saved_bytes(model, image)
        sum(out.square().sum() for out in maps).backward()
        results.append((saved, [p.grad for p in model.parameters()]))
    (plain, expected), (checkpointed, grads) = results
    assert checkpointed < 0.8 * plain
    for grad, value in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, value, rtol=1e-3, atol=1e-5)


def test_recomputing_the_mlps_alone_lies_between_all_and_nothing(
    trained_like,
):
    image = torch.randn(1, 3, 64, 64)
    options = ({}, dict(checkpoint="mlp"), dict(checkpoint="block"))
    kept, grads = [], []
    for option in options:
        model = trained_like(SwinTransformerV2("nano", with_cp=bool(option), **option))
        saved, maps = saved_bytes(model, image)
        sum(out.square().sum() for out in maps).backward()
        kept.append(saved)
        grads.append([p.grad for p in model.parameters()])
    plain, mlp, block = kept
    assert block < 0.8 * mlp
    assert mlp < 0.7 * plain
    for grad, value in zip(grads[1], grads[0], strict=True):
        torch.testing.assert_close(grad, value, rtol=1e-3, atol=1e-5)


def test_checkpointing_trains_the_first_block_behind_a_frozen_stem():
    model = SwinTransformerV2("nano", frozen_stages=0, with_cp=True)
    sum(out.sum() for out in model(torch.rand(1, 3, 32, 32))).backward()
    assert model.layers[0].blocks[0].norm1.weight.grad is not None
    assert model.patch_embed.proj.weight.grad is None


def test_drop_path_drops_whole_samples_of_a_branch(trained_like):
    model = trained_like(SwinTransformerV2("nano", drop_path_rate=0.9)).train()
    rates = [block.drop_path.rate for stage in model.layers for block in stage.blocks]
    assert rates == pytest.approx([0.9 * i / 9 for i in range(10)])
    branch = model.layers[3].blocks[1].drop_path(torch.ones(200, 2, 2, 4))
    per_sample = branch.flatten(1)
    assert (per_sample == per_sample[:, :1]).all()
    assert [*per_sample.unique()] == pytest.approx([0, 10])


# Sizes and names


@pytest.mark.parametrize(("arch", "expected"), SIZES.items())
def test_parameters_are_those_of_the_paper(arch, expected):
    """Of the backbone of a classifier: one final norm, no other output norms."""
    with torch.device("meta"):
        model = SwinTransformerV2(arch, out_indices=[3])
    count = sum(p.numel() for p in model.parameters())
    assert count == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("arch", "expected"), [("huge", 655.2e6), ("giant", 2997.8e6)])
def test_h_and_g_have_an_extra_norm_every_six_blocks(arch, expected):
    with torch.device("meta"):
        model = SwinTransformerV2(arch, out_indices=[3])
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(
        expected, rel=1e-3
    )
    extra = [
        (i, j)
        for i, stage in enumerate(model.layers)
        for j, block in enumerate(stage.blocks)
        if isinstance(block.norm3, torch.nn.LayerNorm)
    ]
    assert extra == [(2, j) for j in range(5, model.depths[2], 6)]


def test_the_extra_norm_normalises_the_main_branch():
    model = SwinTransformerV2("nano", extra_norm_every_n_blocks=4)
    tokens = 5 + 3 * torch.randn(1, 8, 8, 128)
    out = model.layers[2](tokens)
    assert out.mean(-1).abs().max() < 1e-4


def test_explicit_numbers_win_over_the_architecture():
    model = SwinTransformerV2("nano", depths=(1, 1, 2, 1))
    assert [len(stage.blocks) for stage in model.layers] == [1, 1, 2, 1]
    assert model.embed_dims == ARCHITECTURES["nano"].embed_dims


def test_layer_ids_for_layer_decay():
    """As in the official get_swin_layer, swin-v2 fine-tuning."""
    depth = SwinTransformerV2("nano").get_layer_depth  # depths 2, 2, 4, 2: 12 ids
    assert depth("patch_embed.proj.weight") == (0, 12)
    assert depth("layers.0.blocks.0.attn.q_bias") == (1, 12)
    assert depth("layers.0.downsample.norm.weight") == (2, 12)
    assert depth("layers.2.blocks.3.mlp.fc1.weight") == (8, 12)
    assert depth("norm2.weight") == (11, 12)
    assert depth("backbone.layers.3.blocks.1.norm1.bias", "backbone.") == (10, 12)
    assert depth("decode_head.conv.weight", "backbone.") == (11, 12)


def test_no_weight_decay_for_biases_norms_scales_and_meta_networks():
    model = SwinTransformerV2("nano")
    decayed = {name for name, _ in model.named_parameters()} - model.no_weight_decay()
    kinds = {
        ".".join(name.split(".")[-3:])
        for name in decayed
        if "layers.0.blocks.0" in name
    }
    assert kinds == {
        "attn.qkv.weight", "attn.proj.weight", "mlp.fc1.weight", "mlp.fc2.weight"
    }  # fmt: skip
    assert "patch_embed.proj.weight" in decayed


@pytest.mark.parametrize("registry", [MMDET_MODELS, MMSEG_MODELS])
def test_builds_by_its_scoped_name_in_both_frameworks(registry):
    model = registry.build(dict(type="mmswinv2.SwinTransformerV2", arch="nano"))
    assert isinstance(model, SwinTransformerV2)


def test_a_copy_is_independent():
    """EMAHook copies models."""
    model = SwinTransformerV2("nano")
    twin = copy.deepcopy(model)
    twin.set_window_size(4)
    assert model.window_size[0] == (8, 8) and twin.window_size[0] == (4, 4)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(arch="mini"), "arch='mini' is unknown; choose one of nano, tiny"),
        (dict(), "give all three, or an arch"),
        (dict(arch="nano", num_heads=(5, 2, 4, 8)), "does not divide the 32 channels"),
        (dict(arch="nano", depths=(2, 2)), "one entry per stage"),
        (dict(arch="nano", window_size=-8), "window_size=-8: expected"),
        (dict(arch="nano", window_size=[8] * 5), "window_size=.*expected"),
        (dict(arch="nano", pretrained_window_size=0), "pretrained_window_size=0"),
        (dict(arch="nano", window_fit="crop"), "window_fit='crop' is unknown"),
        (dict(arch="nano", attention="flash"), "attention='flash' is unknown"),
        (dict(arch="nano", out_indices=(0, 4)), "out_indices=.*0 to 3"),
        (dict(arch="nano", frozen_stages=5), "frozen_stages=5: expected -1"),
        (dict(arch="nano", with_cp=[True]), "with_cp=.*expected a bool or 4"),
    ],
)
def test_bad_arguments_are_named_with_what_is_expected(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SwinTransformerV2(**kwargs)
