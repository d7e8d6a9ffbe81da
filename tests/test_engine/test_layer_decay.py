"""Learning rates by layer, and which weights decay."""

import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from tiny import DET, SEG, build_model, load_tiny
from torch import nn

from mmswinv2.cli import launch
from mmswinv2.engine import LayerDecayOptimWrapperConstructor
from mmswinv2.models import SwinTransformerV2

# Swin V2-T, depths 2, 2, 6, 2: ids as in the official get_swin_layer.
IDS = {
    "patch_embed.proj.weight": 0,
    "patch_embed.norm.bias": 0,
    "layers.0.blocks.0.attn.qkv.weight": 1,
    "layers.0.blocks.1.mlp.fc2.bias": 2,
    "layers.0.downsample.reduction.weight": 2,
    "layers.0.downsample.norm.weight": 2,
    "layers.1.blocks.0.attn.logit_scale": 3,
    "layers.1.blocks.1.attn.cpb_mlp.0.weight": 4,
    "layers.1.downsample.norm.bias": 4,
    "layers.2.blocks.0.norm1.weight": 5,
    "layers.2.blocks.3.attn.q_bias": 8,
    "layers.2.blocks.5.attn.proj.weight": 10,
    "layers.2.downsample.reduction.weight": 10,
    "layers.3.blocks.0.mlp.fc1.weight": 11,
    "layers.3.blocks.1.norm2.bias": 12,
    "norm0.weight": 13,
    "norm3.bias": 13,
}


class Model(nn.Module):
    """A backbone and a head, as detectors and segmentors have them."""

    def __init__(self, **backbone: object) -> None:
        super().__init__()
        self.backbone = SwinTransformerV2("tiny", **backbone)
        self.head = nn.Sequential(nn.Conv2d(768, 8, 1), nn.GroupNorm(2, 8))


@pytest.fixture(scope="module")
def model() -> Model:
    with torch.device("meta"):
        return Model()


def build(model: nn.Module, **paramwise: object) -> OptimWrapper:
    cfg = dict(
        type="OptimWrapper",
        constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
        optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.05),
        paramwise_cfg=paramwise or None,
    )
    return build_optim_wrapper(model, Config(dict(cfg=cfg)).cfg)


def settings(model: nn.Module, wrapper: OptimWrapper) -> dict[str, tuple]:
    """Learning rate and weight decay by name; each parameter has them once."""
    found = {}
    for group in wrapper.optimizer.param_groups:
        for parameter in group["params"]:
            assert id(parameter) not in found
            found[id(parameter)] = (group["lr"], group["weight_decay"])
    names = dict(model.named_parameters())
    assert found.keys() <= {id(parameter) for parameter in names.values()}
    return {n: found[id(p)] for n, p in names.items() if id(p) in found}


def test_layers_against_the_table(model: Model) -> None:
    """The rate to the power of the distance from the last id; heads have all of it."""
    found = settings(model, build(model, layer_decay_rate=0.5))
    for name, layer in IDS.items():
        assert found[f"backbone.{name}"][0] == 0.5 ** (13 - layer), name
    assert all(lr == 1 for name, (lr, _) in found.items() if "head" in name)
    assert found.keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("rate", [None, 0.9])
def test_no_decay(model: Model, rate: float | None) -> None:
    """Norms, biases, cpb_mlp and logit_scale do not decay; all other weights do."""
    found = settings(
        model, build(model, **({"layer_decay_rate": rate} if rate else {}))
    )
    exempt = ("cpb_mlp", "logit_scale", "norm", "bias", "head.1")
    for name, (_, decay) in found.items():
        assert decay == (0 if any(part in name for part in exempt) else 0.05), name
    if rate is None:
        assert {lr for lr, _ in found.values()} == {1.0}


def test_keys_multiply_and_the_longest_wins(model: Model) -> None:
    """A factor on the backbone leaves its norms and cpb_mlp without decay."""
    keys = {
        "backbone": dict(lr_mult=0.1),
        "backbone.layers.3": dict(decay_mult=2.0),
        "backbone.norm3": dict(lr_mult=1.0),
        "head": dict(decay_mult=0.0),
    }
    found = settings(model, build(model, layer_decay_rate=0.5, custom_keys=keys))
    expected = {
        "backbone.patch_embed.proj.weight": (0.1 * 0.5**13, 0.05),
        "backbone.layers.3.blocks.1.mlp.fc1.weight": (0.1 * 0.5, 0.1),
        "backbone.layers.3.blocks.1.norm1.weight": (0.1 * 0.5, 0.0),
        "backbone.layers.3.blocks.1.attn.cpb_mlp.2.weight": (0.1 * 0.5, 0.0),
        "backbone.layers.3.blocks.1.attn.logit_scale": (0.1 * 0.5, 0.0),
        "backbone.norm2.weight": (0.1, 0.0),
        "backbone.norm3.weight": (1.0, 0.0),
        "head.0.weight": (1.0, 0.0),
    }
    for name, (lr, decay) in expected.items():
        assert found[name] == pytest.approx((lr, decay)), name


def test_decay_of_norms_and_biases_on_request(model: Model) -> None:
    """Only the position bias and logit_scale are without decay whatever is said."""
    found = settings(model, build(model, norm_decay_mult=1.0, bias_decay_mult=0.5))
    block = "backbone.layers.0.blocks.0"
    assert found[f"{block}.norm1.bias"][1] == 0.05
    assert found[f"{block}.attn.q_bias"][1] == found["head.0.bias"][1] == 0.025
    assert found[f"{block}.attn.cpb_mlp.0.bias"][1] == 0


def test_frozen_parameters_are_left_out() -> None:
    """Frozen stages and frozen heads are in no group."""
    with torch.device("meta"):
        model = Model(frozen_stages=1)
    model.head.requires_grad_(False)
    found = settings(model, build(model, layer_decay_rate=0.5))
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert found.keys() == trained
    assert not any(name.startswith(("backbone.layers.0", "head")) for name in found)


def test_names_inside_wrappers(model: Model) -> None:
    """What FSDP, checkpointing and compilers insert into names changes nothing."""

    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self._fsdp_wrapped_module = inner

    with torch.device("meta"):
        wrapped = Model()
    for stage in wrapped.backbone.layers:
        for i, block in enumerate(stage.blocks):
            stage.blocks[i] = Wrapped(block)
    plain = settings(model, build(model, layer_decay_rate=0.5))
    inside = settings(wrapped, build(wrapped, layer_decay_rate=0.5))
    assert {
        n.replace("_fsdp_wrapped_module.", ""): v for n, v in inside.items()
    } == plain


def test_one_table_in_the_log(logs: list[str]) -> None:
    """One row per layer; a key that is in no name is pointed out."""
    with torch.device("meta"):
        model = Model(frozen_stages=0)
    keys = dict(backbon=dict(lr_mult=0.1), hed=dict(lr_mult=0.1))
    build(model, layer_decay_rate=0.5, custom_keys=keys)
    title, table, warning = (
        text for text in logs if re.match("AdamW|layer|paramwise", text)
    )
    assert "lr 1, weight decay 0.05, layer decay 0.5; 4 tensors frozen" in title
    rows = [re.split(r"\s+\+?\s*", line.strip()) for line in table.splitlines()[1:]]
    assert [row[0] for row in rows] == [*map(str, range(1, 14)), "rest"]
    # qkv, proj, fc1, fc2; 13: norms 4, q_bias, v_bias, 3 biases, cpb_mlp 3, logit_scale
    assert rows[0] == ["1", f"{0.1 * 0.5**12:.4g}", "4", "13"]
    assert rows[-1] == ["rest", "1", "1", "3"]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(int(row[2]) + int(row[3]) for row in rows) == len(trained)
    assert "'hed'" in warning and "no parameter" in warning


@pytest.mark.parametrize("name", [DET, SEG])
def test_detectors_and_segmentors_train(name: str) -> None:
    """A step of the optimizer moves the layers by their rates."""
    cfg = load_tiny(name)
    cfg.optim_wrapper.constructor = "mmswinv2.LayerDecayOptimWrapperConstructor"
    cfg.optim_wrapper.paramwise_cfg = dict(layer_decay_rate=0.5)
    cfg.optim_wrapper.optimizer.update(lr=1e-3, weight_decay=0.0)
    model = build_model(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.optimizer.step()
    moved = {
        n: (p - before[n]).abs().mean().item() for n, p in model.named_parameters()
    }
    first, last = "backbone.patch_embed.proj.weight", "backbone.layers.3.blocks.1.mlp"
    # nano has depths 2, 2, 4, 2: ids 0 to 11
    assert moved[first] == pytest.approx(1e-3 * 0.5**11, rel=0.05)
    assert moved[f"{last}.fc1.weight"] == pytest.approx(1e-3 * 0.5, rel=0.01)
    head = next(n for n in moved if not n.startswith("backbone") and "weight" in n)
    assert moved[head] == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize(
    ("paramwise", "optimizer", "expected"),
    [
        (dict(layer_decay_rate=0), {}, r"layer_decay_rate=0: .* above 0"),
        (dict(layer_decay_rate=1.1), {}, "layer_decay_rate=1.1"),
        (dict(decay_rate=0.9), {}, r"has decay_rate, but .* knows layer_decay_rate"),
        (dict(custom_keys=dict(a=dict(lr=1))), {}, r"custom_keys\['a'\] has lr"),
        ({}, dict(type="AdamW", lr=1.0), "needs lr and weight_decay"),
    ],
)
def test_bad_input(paramwise: dict, optimizer: dict, expected: str) -> None:
    """Options that are unknown, out of range or missing."""
    optimizer = optimizer or dict(type="AdamW", lr=1.0, weight_decay=0.05)
    with pytest.raises(ValueError, match=expected):
        LayerDecayOptimWrapperConstructor(dict(optimizer=optimizer), paramwise)


def test_no_backbone_with_layers() -> None:
    """Layer decay of a model that knows no layers is refused."""
    with pytest.raises(ValueError, match=r"no part of this Linear has get_layer_depth"):
        build(nn.Linear(2, 2), layer_decay_rate=0.9)
    assert len(build(nn.Linear(2, 2)).optimizer.param_groups) == 2


@pytest.mark.parametrize("ours", [True, False])
def test_groups_are_what_a_compiler_knows(ours: bool) -> None:
    """With our constructor, and with mmengine's in the commands."""
    torch.compiler.reset()
    paramwise = dict(bias_decay_mult=0.0)
    if not ours:
        paramwise["custom_keys"] = {"0": dict(lr_mult=0.1)}
    cfg = dict(
        type="OptimWrapper",
        optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.05),
        paramwise_cfg=paramwise,
    )
    if ours:
        cfg["constructor"] = "mmswinv2.LayerDecayOptimWrapperConstructor"
    model = nn.Sequential(nn.Linear(2, 2))
    wrapper = build_optim_wrapper(model, Config(dict(cfg=cfg)).cfg)
    if not ours:
        launch.PlainGroups().before_train(SimpleNamespace(optim_wrapper=wrapper))
    assert {type(group) for group in wrapper.param_groups} == {dict}
    model(torch.ones(1, 2)).sum().backward()
    before = model[0].weight.detach().clone()
    torch.compile(wrapper.optimizer.step, backend="eager")()
    assert not torch.equal(model[0].weight, before)
