"""Linear layers of maps, on CPU as convolutions."""

import pytest
import torch
import torch.nn.functional as F

from mmswinv2.models import blocks
from mmswinv2.ops import linear
from mmswinv2.ops.linear import Linear
from mmswinv2.planning.saved_tensors import SavedBytes

LARGE = [(2, 60, 40), (1, 1, 4000), (1, 4000, 1)]
SHAPES = [(2, 5, 7), (1, 1, 1), *LARGE]


def tangents(function, inputs):
    """Derivative along the cosines of all inputs."""
    along = tuple(x.detach().cos() for x in inputs)
    return torch.func.jvp(function, tuple(x.detach() for x in inputs), along)[1]


@pytest.mark.parametrize("mkl_is_fast", [True, False])
@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_is_a_linear_layer(size, bias, mkl_is_fast, monkeypatch):
    """Values, gradients of both orders and a contiguous result, whatever the map."""
    monkeypatch.setattr(linear, "MKL_IS_FAST", mkl_is_fast)
    torch.manual_seed(0)
    layer = Linear(8, 10, bias=bias)
    x = torch.randn(*size, 8, requires_grad=True)
    inputs = (x, *layer.parameters())
    expected = F.linear(x, *layer.parameters())
    found = layer(x)
    assert found.is_contiguous() and found.shape == expected.shape
    torch.testing.assert_close(found, expected)
    orders = []
    for out in (found, expected):
        first = torch.autograd.grad(out.sin().mean(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
        orders.append((*first, *second))
    for own, other in zip(*orders):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)
    along = [tangents(function, inputs) for function in (linear.linear, F.linear)]
    torch.testing.assert_close(*along, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mkl_is_fast", [True, False])
@pytest.mark.parametrize("size", [(2, 5, 7), (2, 60, 40), (2, 3, 20, 40)])
def test_of_gelu_is_a_linear_layer_of_gelu(size, mkl_is_fast, monkeypatch):
    """Whole where gradients get gradients, else in pieces; its map alone is kept."""
    monkeypatch.setattr(linear, "MKL_IS_FAST", mkl_is_fast)
    monkeypatch.setattr(linear, "PIECE_BYTES", 2**14)
    torch.manual_seed(0)
    inputs = torch.randn(*size, 8), torch.randn(10, 8), torch.randn(10)
    inputs = [x.requires_grad_() for x in inputs]

    def of_gelu(x, weight, bias):
        return linear.linear(x, weight, bias, gelu=True)

    def plain(x, weight, bias):
        return F.linear(F.gelu(x), weight, bias)

    grads = []
    for function in (of_gelu, plain):
        with SavedBytes(inputs) as saved:
            out = function(*inputs)
        first = torch.autograd.grad(out.sin().sum(), inputs, retain_graph=True)
        again = torch.autograd.grad(out.sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().mean() for g in again), inputs)
        grads.append((out, *first, *again, *second, tangents(function, inputs)))
        assert saved.total == (0 if function is of_gelu else inputs[0].nbytes)
    for own, other in zip(*grads):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("frozen", range(3))
def test_what_is_frozen_gets_no_gradient(frozen, gelu, monkeypatch):
    monkeypatch.setattr(linear, "PIECE_BYTES", 2**14)
    inputs = [torch.randn(1, 60, 60, 8), torch.randn(10, 8), torch.randn(10)]
    trained = [x.requires_grad_() for i, x in enumerate(inputs) if i != frozen]
    linear.linear(*inputs, gelu=gelu).sum().backward()
    assert inputs[frozen].grad is None
    assert all(x.grad.isfinite().all() for x in trained)


def operators(function):
    with torch.profiler.profile() as profile:
        function()
    return {event.key for event in profile.key_averages()}


@pytest.mark.skipif(not linear.HAS_ONEDNN, reason="torch without oneDNN")
@pytest.mark.parametrize("mkl_is_fast", [True, False])
@pytest.mark.parametrize("size", [*LARGE, (1, 2, 60, 40)])
def test_large_maps_are_onednns_with_one_thread_too(size, mkl_is_fast, monkeypatch):
    """It has slow convolutions beside; the weight's gradient is MKL's or not."""
    monkeypatch.setattr(linear, "MKL_IS_FAST", mkl_is_fast)
    layer, x = Linear(8, 10, bias=False), torch.randn(*size, 8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = operators(lambda: layer(x).sum().backward())
    finally:
        torch.set_num_threads(threads)
    assert "aten::mkldnn_convolution" in found
    assert not [name for name in found if "slow_conv" in name]
    assert ("aten::mm" in found) == mkl_is_fast


@pytest.mark.parametrize(
    ("size", "mkl_is_fast"), [((1, 5, 7), False), ((1, 16, 16), True)]
)
def test_small_maps_stay_linear_layers(size, mkl_is_fast, monkeypatch):
    """Few numbers have no fast convolution, few tokens repay none of its costs."""
    monkeypatch.setattr(linear, "MKL_IS_FAST", mkl_is_fast)
    layer, x = Linear(96, 10), torch.randn(*size, 96)
    assert "aten::addmm" in operators(lambda: layer(x))


@pytest.mark.parametrize(
    ("capability", "vendor", "family", "fast"),
    [
        ("AVX2", "AuthenticAMD", 23, True),  # Zen 1
        ("AVX512", "AuthenticAMD", 25, True),  # Zen 4
        ("AVX512", "AuthenticAMD", 26, False),  # Zen 5
        ("AVX2", "AuthenticAMD", 26, True),  # limited to AVX2
        ("AVX512", "GenuineIntel", 6, True),
        ("AVX512", "", 0, False),
        ("DEFAULT", "", 0, True),
    ],
)
def test_mkl_is_fast_where_it_uses_all_of_the_processor(
    capability, vendor, family, fast
):
    assert linear.mkl_is_fast(capability, vendor, family) is fast


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers_stay_with_torch(dtype):
    layer = Linear(6, 10, dtype=dtype)
    x = torch.randn(1, 4, 4, 6, dtype=dtype)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


def test_autocast_decides():
    layer = Linear(6, 10)
    x = torch.randn(1, 4, 4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


def test_traced_models_have_linear_layers():
    """Counters of operations and exporters know them best."""
    traced = torch.jit.trace(Linear(6, 10), torch.randn(1, 64, 64, 6))
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert "aten::linear" in kinds and "aten::_convolution" not in kinds


def test_mlp_in_pieces(monkeypatch):
    """The same as in one, for any number of tokens; hooks see every token."""
    mlp = blocks.Mlp(8, 16, 0.0)
    x = torch.randn(2, 7, 9, 8)
    whole = mlp(x)
    monkeypatch.setattr(linear, "PIECE_BYTES", 16 * 4 * 10)
    monkeypatch.setattr(linear, "PIECE_TOKENS", 5)
    seen = []
    mlp.fc1.register_forward_hook(lambda _, args, out: seen.append(out[..., 0].numel()))
    torch.testing.assert_close(mlp(x), whole)
    assert seen == [126]  # kept for the gradient
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), whole)
    assert len(seen) > 2 and sum(seen) == 2 * 126
