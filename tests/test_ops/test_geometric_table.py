import numpy as np
import pytest
import torch

from mmswinv2.ops.geometric_table import (
    carry_table,
    geometric_positions,
    map_to_table,
    table_to_map,
)


def test_positions_grow_geometrically_from_the_centre_to_the_new_end():
    positions = geometric_positions(8, 16)
    assert positions[7] == 0 and positions[8] == pytest.approx(1)
    assert positions[-1] == 15 and positions[0] == -15
    steps = np.diff(positions[7:])
    assert steps[1:] / steps[:-1] == pytest.approx(steps[1] / steps[0])


@pytest.mark.parametrize("source", [(8, 8), (7, 7), (3, 5), (16, 12)])
@pytest.mark.parametrize("target", [(16, 16), (32, 20), (16, 56)])
def test_it_is_the_bicubic_spline_of_scipy(source, target):
    """The official fine-tuning code calls FITPACK's spline on the same positions."""
    interpolate = pytest.importorskip("scipy.interpolate")
    table = torch.randn(1, *(2 * size - 1 for size in source), dtype=torch.float64)
    y, x = (geometric_positions(a, b) for a, b in zip(source, target))
    expected = interpolate.RectBivariateSpline(y, x, table[0].numpy())(
        *(np.arange(1.0 - size, size) for size in target)
    )
    np.testing.assert_allclose(carry_table(table, target)[0], expected, atol=1e-9)


@pytest.mark.parametrize("source", [(8, 8), (1, 2), (2, 4), (3, 1)])
@pytest.mark.parametrize("target", [(8, 8), (1, 1), (2, 9), (24, 5)])
def test_a_constant_stays_constant_in_every_window(source, target):
    table = torch.ones(2, *(2 * size - 1 for size in source))
    carried = carry_table(table, target)
    assert carried.shape == (2, *(2 * size - 1 for size in target))
    torch.testing.assert_close(carried, torch.ones_like(carried))


def test_the_centre_its_neighbours_and_the_ends_keep_their_bias():
    table = torch.randn(3, 15, 15)
    carried = carry_table(table, (16, 16))
    ends, near = [0, 7, 14], slice(6, 9)
    torch.testing.assert_close(carried[:, ::15][..., ::15], table[:, ends][..., ends])
    torch.testing.assert_close(
        carried[:, 14:17, 14:17], table[:, near, near], rtol=0, atol=1e-4
    )


def test_a_window_there_and_back_at_run_time_is_the_identity():
    """A smaller window takes the middle; the same window takes all."""
    table = torch.randn(3, 15, 15)
    assert torch.equal(carry_table(table, (8, 8)), table)
    assert torch.equal(carry_table(table, (5, 8)), table[:, 3:-3])


def test_gradients_flow_back_to_the_table():
    table = torch.randn(1, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: carry_table(t, (5, 2)), table)


def test_the_layout_of_v1_is_kept():
    table = torch.randn(15 * 11, 3)
    bias = table_to_map(table, (8, 6))
    assert bias.shape == (3, 15, 11)
    assert torch.equal(map_to_table(bias), table)
