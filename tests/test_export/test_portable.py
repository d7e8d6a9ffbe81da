"""Copies that can be exported compute what the model computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.fx.experimental import _config

from mmswinv2.export import portable
from mmswinv2.export.onnx_graph import FOLDED, tidy
from mmswinv2.export.pooling import AveragePool
from mmswinv2.models import GlobalAttention, SwinTransformerV2

SIZES = [(1, 1), (33, 17), (32, 64), (57, 97), (100, 12)]  # px
MODELS = {
    "plain": dict(window_size=4),
    "larger window than maps": dict(window_size=16),
    "rectangles, one per stage": dict(window_size=[(3, 5), (6, 2)]),
    "padded": dict(window_size=7, window_fit="pad"),
    "window of one": dict(window_size=1),
    "stretched": dict(window_size=6, pretrained_window_size=4),
    "linear": dict(window_size=4, position_bias="linear_cpb"),
    "table": dict(window_size=4, pretrained_window_size=6, position_bias="table"),
    "extra norms": dict(window_size=4, extra_norm_every_n_blocks=1),
    "no biases": dict(window_size=4, qkv_bias=False, patch_norm=False),
}
FIXED = {
    "divided": dict(window_size=5, window_fit="divide"),
    "stretched table": dict(
        window_size=6, pretrained_window_size=4, position_bias="table"
    ),
}


def backbone(depths: tuple[int, int] = (2, 2), **options: object) -> SwinTransformerV2:
    """Two stages with random weights, whose blocks are not the identity."""
    torch.manual_seed(0)
    sizes = dict(embed_dims=16, depths=depths, num_heads=(1, 2), out_indices=(0, 1))
    model = SwinTransformerV2(**sizes, **options).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5 / parameter.shape[-1] ** 0.5)
    return model


def assert_equal(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    """Within 1e-5 of the largest number."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_a_portable_backbone_gives_the_maps_of_the_backbone(
    options: dict, dynamic: bool
) -> None:
    model = backbone(**options)
    copy = portable(model, dynamic=dynamic)
    for size in SIZES:
        images = torch.rand(2, 3, *size)
        assert_equal(copy(images), model(images))


@torch.no_grad()
@pytest.mark.parametrize("options", FIXED.values(), ids=FIXED)
def test_what_depends_on_the_size_is_refused_where_sizes_vary(options: dict) -> None:
    model = backbone(**options)
    copy = portable(model, dynamic=False)
    for size in SIZES:
        images = torch.rand(1, 3, *size)
        assert_equal(copy(images), model(images))
    with pytest.raises(ValueError, match="export at one size"):
        portable(model, dynamic=True)


@torch.no_grad()
def test_global_attention_is_portable_at_one_size() -> None:
    torch.manual_seed(0)
    model = GlobalAttention(32, 2).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    maps = torch.rand(1, 16, 9, 10), torch.rand(1, 32, 5, 7)
    assert_equal(portable(model, dynamic=False)(maps), model(maps))
    with pytest.raises(ValueError, match="export it at one size"):
        portable(model, dynamic=True)


def test_the_model_itself_stays_as_it_is() -> None:
    model = nn.Sequential(backbone(), nn.Identity()).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    copy = portable(model, dynamic=True)
    assert type(model[0]) is SwinTransformerV2
    assert model.training and not copy.training
    assert all(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("bins", [1, 2, 3, 6, (2, None)])
def test_pools_average_what_torch_averages(bins: int | tuple) -> None:
    for size in ((1, 1), (5, 7), (12, 6), (16, 31)):
        x = torch.rand(2, 3, *size)
        pooled = nn.AdaptiveAvgPool2d(bins)(x)
        torch.testing.assert_close(AveragePool(bins)(x), pooled)


@torch.no_grad()
def test_one_program_and_one_file_fit_all_sizes(tmp_path: object) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = backbone((2, 1), window_size=4)
    sides = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    with _config.patch(backed_size_oblivious=True):
        program = torch.export.export(
            portable(model, dynamic=True),
            (torch.rand(1, 3, 57, 97),),
            dynamic_shapes=(sides,),
            strict=False,
        )
    onnx = torch.onnx.export(program, dynamo=True, optimize=False, verbose=False)
    tidy(onnx.model)
    onnx.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    module = program.module()
    for size in SIZES:
        image = torch.rand(1, 3, *size)
        assert_equal(module(image), model(image))
        feed = {session.get_inputs()[0].name: image.numpy()}
        maps = (torch.from_numpy(x) for x in session.run(None, feed))
        assert_equal(tuple(maps), model(image))
    # What is large are weights; nothing tells where the code lay.
    weights = {p.numel() for p in model.parameters()} | {3 * 16**2, 3 * 32**2}
    graph = onnx.model.graph
    large = [v.const_value.size for v in graph.initializers.values()]
    assert {size for size in large if size > FOLDED} <= weights
    assert not any(node.metadata_props for node in graph)
