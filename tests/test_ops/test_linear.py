"""Linear layers of maps, on CPU as convolutions."""

import pytest
import torch
import torch.nn.functional as F

from mmswinv2.models import blocks
from mmswinv2.ops.linear import Linear


@pytest.mark.parametrize("size", [(2, 5, 7), (1, 1, 9), (3, 9, 1), (1, 1, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_is_a_linear_layer(size, bias):
    """Values, gradients and a contiguous result, whatever the map."""
    torch.manual_seed(0)
    layer = Linear(6, 10, bias=bias)
    x = torch.randn(*size, 6, requires_grad=True)
    inputs = (x, *layer.parameters())
    expected = F.linear(x, *layer.parameters())
    found = layer(x)
    assert found.is_contiguous() and found.shape == expected.shape
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    for own, other in zip(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
    ):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)


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
    traced = torch.jit.trace(Linear(6, 10), torch.randn(1, 4, 4, 6))
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert "aten::linear" in kinds and "aten::_convolution" not in kinds


def test_mlp_in_pieces(monkeypatch):
    """The same as in one, for any number of tokens; hooks see every token."""
    mlp = blocks.Mlp(8, 16, 0.0)
    x = torch.randn(2, 7, 9, 8)
    whole = mlp(x)
    row_bytes = 16 * 4 * torch.get_num_threads()
    monkeypatch.setattr(
        blocks, "PIECE_BYTES", 10 * row_bytes // torch.get_num_threads()
    )
    seen = []
    mlp.fc1.register_forward_hook(lambda _, args, out: seen.append(out[..., 0].numel()))
    torch.testing.assert_close(mlp(x), whole)
    assert seen == [126]  # kept for the gradient
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), whole)
    assert len(seen) > 2 and sum(seen) == 2 * 126
