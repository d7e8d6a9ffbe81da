"""Every layout, there and back, over architectures and over damaged names."""

import random
import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.checkpoints.locate import SwinWeights, architecture_of, locate
from mmswinv2.checkpoints.windows import effective_windows
from mmswinv2.models import SwinTransformerV2

W8 = [((8, 8), (8, 8))] * 4
W12TO24 = [*zip(effective_windows(24, 384), effective_windows(12, 192))]


def weights_of(model, windows, classes=0, all_norms=False):
    """What a published file of this model holds, by our names."""
    last = len(model.depths) - 1
    tensors = {
        name: torch.randn_like(tensor)
        for name, tensor in model.state_dict().items()
        if name != "window_record"
        and (all_norms or not name.startswith("norm") or name.startswith(f"norm{last}"))
    }
    if classes:
        width = model.embed_dims * 2**last
        tensors["head.weight"] = torch.randn(classes, width)
        tensors["head.bias"] = torch.randn(classes)
    return SwinWeights("mmswinv2", tensors, windows)


def file_of(weights, layout):
    """The state dict of a file in a layout."""
    return convert(weights, layout).tensors


def assert_same(tensors, expected):
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("windows", [W8, W12TO24], ids=["w8", "w12to24"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_reads_as_it_was_and_writes_as_it_is(layout, windows):
    weights = weights_of(SwinTransformerV2("nano"), windows, classes=7)
    file = file_of(weights, layout)
    read = locate(file).read(windows)
    assert read.layout == layout
    assert read.windows == windows
    assert_same(read.tensors, weights.tensors)
    assert_same(file_of(read, layout), file)


@pytest.mark.parametrize("layout", [n for n, x in LAYOUTS.items() if x.buffers])
def test_files_with_buffers_tell_their_windows(layout):
    weights = weights_of(SwinTransformerV2("nano"), W12TO24)
    assert locate(file_of(weights, layout)).read().windows == W12TO24


@pytest.mark.parametrize("layout", ["mmpretrain", "mmswinv2"])
def test_layouts_with_a_norm_per_stage_keep_all_four(layout):
    weights = weights_of(SwinTransformerV2("nano"), W8, all_norms=True)
    converted = convert(weights, layout)
    assert converted.left_out == []
    assert_same(locate(converted.tensors).read().tensors, weights.tensors)


def test_what_a_layout_has_no_place_for_is_named():
    weights = weights_of(SwinTransformerV2("nano"), W8, all_norms=True)
    weights.tensors["mask_token"] = torch.zeros(1, 1, 32)
    left_out = convert(weights, "torchvision").left_out
    assert [n for n in left_out if n.endswith("weight")] == [
        f"norm{i}.weight" for i in range(3)
    ]
    assert "mask_token" in left_out
    assert "mask_token" not in convert(weights, "hf").left_out


@st.composite
def architectures(draw):
    stages = draw(st.integers(2, 4))
    heads = draw(st.lists(st.sampled_from([1, 2, 4]), min_size=stages, max_size=stages))
    return dict(
        embed_dims=8,
        depths=draw(st.lists(st.integers(1, 3), min_size=stages, max_size=stages)),
        num_heads=heads,
        mlp_ratio=draw(st.sampled_from([1.0, 2.0, 4.0])),
        qkv_bias=draw(st.booleans()),
        patch_norm=draw(st.booleans()),
        in_channels=draw(st.integers(1, 4)),
        extra_norm_every_n_blocks=draw(st.sampled_from([0, 0, 2])),
        out_indices=range(stages),
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    architectures(),
    st.sampled_from([*LAYOUTS]),
    st.integers(1, 24),
    st.integers(2, 24),
    st.integers(0, 3),
)
def test_any_architecture_goes_through_any_layout(
    numbers, layout, window, pretrained, classes
):
    model = SwinTransformerV2(**numbers)
    windows = [((window, window), (pretrained, pretrained))] * len(model.depths)
    weights = weights_of(model, windows, classes)
    read = locate(file_of(weights, layout)).read(windows)
    assert_same(read.tensors, weights.tensors)
    assert read.architecture.depths == tuple(numbers["depths"])
    loaded = SwinTransformerV2(**numbers, pretrained_window_size=pretrained)
    loaded.load_state_dict(file_of(weights, layout))
    for name, tensor in weights.tensors.items():
        if not name.startswith("head"):
            assert torch.equal(loaded.state_dict()[name], tensor), name


def damage(state, kind, rng):
    """A state dict with one name flipped, dropped or renamed, and which one."""
    state = dict(state)
    # Rebuilt for the window in use; nothing reads more than the first of a stage.
    names = [n for n in state if not re.search("relative_|window_record|head", n)]
    name = rng.choice(names)
    tensor = state.pop(name)
    if kind == "flip":
        at = rng.randrange(len(name))
        letter = rng.choice([c for c in "abcxyz0123456789._" if c != name[at]])
        state[name[:at] + letter + name[at + 1 :]] = tensor
    elif kind == "rename":
        other = rng.choice([n for n in names if n != name])
        state[other] = tensor
    return state, name


@pytest.mark.parametrize("kind", ["flip", "drop", "rename"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_names_load_right_or_are_refused(layout, kind):
    rng = random.Random(f"{layout} {kind}")
    source = weights_of(SwinTransformerV2("nano"), W8, all_norms=True)
    file = file_of(source, layout)
    outcomes = set()
    for _ in range(25):
        state, name = damage(file, kind, rng)
        model = SwinTransformerV2("nano", pretrained_window_size=8)
        norms = {k: v.clone() for k, v in model.state_dict().items() if "norm" in k[:4]}
        try:
            model.load_state_dict(state, strict=False)
            outcomes.add("loaded")
        except RuntimeError:
            outcomes.add("refused")
            continue
        for key, tensor in model.state_dict().items():
            if key != "window_record":  # a norm of an output may be new
                right = (source.tensors[key], norms.get(key, source.tensors[key]))
                assert any(torch.equal(tensor, x) for x in right), (name, key)
    assert "refused" in outcomes


@pytest.mark.parametrize("name", ["attn.qkv.bias", "attn.k_bias"])
def test_a_key_bias_is_refused_and_zeros_are_not(name):
    weights = weights_of(SwinTransformerV2("nano"), W8)
    state = file_of(weights, "official")
    q = state.pop("layers.0.blocks.0.attn.q_bias")
    v = state.pop("layers.0.blocks.0.attn.v_bias")
    key = torch.zeros_like(q)
    if name == "attn.k_bias":
        state |= {
            f"layers.0.blocks.0.attn.{x}_bias": y for x, y in (("q", q), ("v", v))
        }

    def with_key_bias(key):
        joined = torch.cat((q, key, v)) if name.endswith("qkv.bias") else key
        return state | {f"layers.0.blocks.0.{name}": joined}

    assert_same(locate(with_key_bias(key)).read().tensors, weights.tensors)
    key[3] = 0.5
    with pytest.raises(RuntimeError, match=r"keys a bias of up to 0\.5"):
        locate(with_key_bias(key)).read()


def test_logit_scales_of_one_dimension_are_brought_to_three():
    weights = weights_of(SwinTransformerV2("nano"), W8)
    state = {
        k: v.flatten() if k.endswith("logit_scale") else v
        for k, v in file_of(weights, "official").items()
    }
    assert_same(locate(state).read().tensors, weights.tensors)


def test_a_simmim_pre_training_is_read():
    weights = weights_of(SwinTransformerV2("nano"), None)
    state = {
        "encoder." + re.sub(r"^norm3", "norm", k).replace("cpb_mlp", "rpe_mlp"): v
        for k, v in weights.tensors.items()
    }
    extra = {
        "encoder.mask_token": torch.zeros(1, 1, 32),
        "decoder.0.bias": torch.ones(1),
    }
    read = locate({"model": state | extra}).read()
    assert read.unused == ["decoder.0.bias"]
    assert read.tensors.pop("mask_token").shape == (1, 1, 32)
    assert_same(read.tensors, weights.tensors)
    model = SwinTransformerV2("nano", pretrained_window_size=[12, 12, 12, 6])
    model.load_state_dict(state)
    assert torch.equal(model.norm3.weight, weights.tensors["norm3.weight"])


def test_hugging_face_names_of_its_next_version_are_read():
    weights = weights_of(SwinTransformerV2("nano"), W8)
    renames = (
        (r"attention\.self\.(query|key|value)", lambda m: f"attention.{m[1][0]}_proj"),
        (r"attention\.output\.dense", "attention.o_proj"),
        (r"attention\.self\.", "attention."),
        (r"intermediate\.dense", "mlp.fc1"),
        (r"output\.dense", "mlp.fc2"),
    )
    state = {}
    for name, tensor in file_of(weights, "hf").items():
        for pattern, new in renames:
            name = re.sub(pattern, new, name)
        state[name] = tensor
    assert "swinv2.encoder.layers.0.blocks.0.attention.q_proj.weight" in state
    assert_same(locate(state).read().tensors, weights.tensors)


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [
        ("state_dict_ema", ""),
        ("state_dict", "model.backbone."),
        ("module", "module.backbone."),
        (None, "_orig_mod.backbone."),
        (None, "_fsdp_wrapped_module.backbone._fsdp_wrapped_module."),
    ],
)
def test_wrappers_of_training_code_are_seen_through(wrapper, prefix):
    weights = weights_of(SwinTransformerV2("nano"), W8)
    state = {
        prefix + k.replace("blocks.0.", "blocks.0._checkpoint_wrapped_module."): v
        for k, v in file_of(weights, "official").items()
    }
    read = locate({wrapper: state, "epoch": 3} if wrapper else state).read()
    assert_same(read.tensors, weights.tensors)


def test_two_models_in_one_file_are_told_apart_or_refused():
    ours, other = (weights_of(SwinTransformerV2("nano"), W8) for _ in range(2))
    state = file_of(ours, "mmswinv2")
    teacher = {f"teacher.{k}": v for k, v in file_of(other, "mmswinv2").items()}
    assert_same(locate(state | teacher).read().tensors, ours.tensors)
    student = {f"student.{k}": v for k, v in state.items()}
    with pytest.raises(RuntimeError, match=r"several Swin V2 models, under student\."):
        locate(student | teacher)


def test_incomplete_weights_and_unknown_windows_are_not_converted():
    weights = weights_of(SwinTransformerV2("nano"), None)
    with pytest.raises(ValueError, match="do not tell the window"):
        convert(weights, "official")
    weights.windows = W8
    with pytest.raises(ValueError, match="'tensorflow': expected one of official"):
        convert(weights, "tensorflow")
    del weights.tensors["layers.2.blocks.1.mlp.fc1.bias"]
    with pytest.raises(RuntimeError, match=r"2\.blocks\.1\.mlp\.fc1\.bias is missing"):
        convert(weights, "official")


@pytest.mark.parametrize(
    ("layout", "name"),
    [("official", "w.txt"), ("official", "w"), ("hf", "w.pth"), ("timm", "w.txt")],
)
def test_a_layout_is_kept_in_files_of_its_own_kinds(layout, name, tmp_path):
    converted = convert(weights_of(SwinTransformerV2("nano"), W8), layout)
    with pytest.raises(ValueError, match=f"'{layout}' weights are kept in"):
        converted.save(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_numbers_that_weights_do_not_tell_are_0():
    found = architecture_of({"layers.0.blocks.1.attn.logit_scale": torch.ones(3, 1, 1)})
    assert (found.embed_dims, found.depths, found.num_heads) == (0, (2,), (3,))
