import pytest
import torch

from mmswinv2.ops.log_coords import (
    linear_coords,
    log_spaced_coords,
    windows_of_coords,
)


def test_coordinates_are_those_of_the_paper():
    """sign(x) log2(1 + |x|) / log2(8) of offsets scaled to [-8, 8]; 8 -> 1.0566."""
    coords = log_spaced_coords((8, 8), (8, 8))
    assert coords.shape == (15, 15, 2)
    assert coords[7, 7].tolist() == [0, 0]
    assert coords[14, 0].tolist() == pytest.approx([1.0566, -1.0566], abs=1e-4)
    assert log_spaced_coords((16, 16), (8, 8)).max() == pytest.approx(1.394, abs=1e-3)


def test_an_offset_keeps_its_coordinate_in_a_larger_window():
    small, large = log_spaced_coords((8, 6), (8, 6)), log_spaced_coords((16, 9), (8, 6))
    assert torch.equal(large[8:-8, 3:-3], small)


def test_a_window_of_one_token_has_finite_coordinates():
    assert log_spaced_coords((1, 4), (1, 4)).isfinite().all()


@pytest.mark.parametrize("window", [(8, 8), (16, 16), (7, 12), (24, 24), (1, 1)])
@pytest.mark.parametrize("pretrained", [(8, 8), (12, 12), (6, 14)])
def test_windows_are_recovered_from_coordinates(window, pretrained):
    if window == (1, 1):
        pretrained = (1, 1)
    coords = log_spaced_coords(window, pretrained)[None]
    assert windows_of_coords(coords) == (window, pretrained)


def test_coordinates_that_are_not_log_spaced_are_refused():
    axis = torch.linspace(-1, 1, 15)
    linear = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    with pytest.raises(ValueError, match="no log-spaced coordinates"):
        windows_of_coords(linear)


def test_linear_coordinates_span_8_at_the_pretraining_window():
    """Equation 4's argument: its logarithm is the log-spaced coordinate."""
    coords = linear_coords((8, 6), (8, 6))
    assert coords.amin((0, 1)).tolist() == [-8, -8]
    assert coords.amax((0, 1)).tolist() == [8, 8]
    assert linear_coords((15, 15), (8, 8)).max() == 16
    logs = coords.sign() * (1 + coords.abs()).log2() / 3
    torch.testing.assert_close(log_spaced_coords((8, 6), (8, 6)), logs)
