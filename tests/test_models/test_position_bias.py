import copy

import pytest
import torch

from mmswinv2.models.position_bias import LogCPB


@pytest.fixture
def cpb(trained_like):
    return trained_like(torch.nn.ModuleDict({"cpb_mlp": LogCPB(3)}))["cpb_mlp"]


def test_bias_is_16_sigmoid_of_the_meta_network(cpb):
    """Offset (0, 0) has the coordinates (0, 0)."""
    table = cpb((8, 6), (8, 6))
    assert table.shape == (3, 15, 11) and table.dtype == torch.float32
    centre = 16 * cpb[2](cpb[1](cpb[0](torch.zeros(2)))).sigmoid()
    torch.testing.assert_close(table[:, 7, 5], centre)


def test_a_larger_window_keeps_the_bias_of_known_offsets(cpb):
    torch.testing.assert_close(
        cpb((16, 16), (8, 8))[:, 8:-8, 8:-8], cpb((8, 8), (8, 8)), rtol=0, atol=1e-5
    )


def test_bias_is_fp32_in_a_half_precision_model_and_under_autocast(cpb):
    expected = cpb.table((8, 8), (8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cpb.table((8, 8), (8, 8)), expected)
    table = cpb.bfloat16()((8, 8), (8, 8))
    assert table.dtype == torch.float32
    torch.testing.assert_close(table, expected, rtol=0, atol=0.2)


def test_in_eval_mode_the_bias_is_computed_once(cpb):
    with torch.no_grad():
        assert cpb((8, 8), (8, 8)) is cpb((8, 8), (8, 8))
        assert cpb((8, 8), (8, 8)) is not cpb((9, 8), (8, 8))


def test_the_kept_bias_follows_weights_mode_and_dtype(cpb):
    with torch.no_grad():
        first = cpb((8, 8), (8, 8))
        cpb[2].weight.mul_(2)
        second = cpb((8, 8), (8, 8))
        assert not torch.equal(first, second)
        cpb[2].weight.data.copy_(cpb[2].weight.data / 2)  # as EMA swaps, unversioned
        torch.testing.assert_close(cpb.eval()((8, 8), (8, 8)), first)
        cpb.load_state_dict({k: 3 * v for k, v in cpb.state_dict().items()})
        assert not torch.allclose(cpb((8, 8), (8, 8)), first)
        kept = cpb((8, 8), (8, 8))
        assert cpb.half()((8, 8), (8, 8)) is not kept
        torch.testing.assert_close(
            copy.deepcopy(cpb)((8, 8), (8, 8)), cpb.table((8, 8), (8, 8))
        )


def test_a_bias_with_gradient_is_never_kept(cpb):
    """Fine-tuning in eval mode still trains the meta network."""
    for _ in range(2):
        cpb((4, 4), (4, 4)).sum().backward()
    assert cpb[0].weight.grad.abs().sum() > 0
