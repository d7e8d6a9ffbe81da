"""A NaN pixel changes the tokens that look at it, and no others."""

import math

import pytest
import torch

from mmswinv2.models import SwinTransformerV2

WINDOW, SHIFT = 4, 2


def spread(touched, shift):
    """Tokens of a block that see touched ones, from pairs of places alone."""

    def place(size):
        padded = size + -size % WINDOW
        return torch.tensor(
            [((t - shift) % padded // WINDOW, t < shift) for t in range(size)]
        )

    y, x = map(place, touched.shape)
    same_y, same_x = ((p[:, None] == p[None]).all(-1).float() for p in (y, x))
    return (same_y @ touched.float() @ same_x) > 0


def merge(touched):
    return torch.nn.functional.max_pool2d(
        touched[None, None].float(), 2, ceil_mode=True
    )[0, 0].bool()


@pytest.mark.parametrize("attention", ["chunked", "sdpa", "reference"])
@pytest.mark.parametrize("token", [(0, 0), (9, 12), (18, 25), (0, 25)])
def test_nan_reaches_its_receptive_field(attention, token):
    """Through a block, a shifted one and the merging, in one picture of two."""
    torch.manual_seed(0)
    backbone = SwinTransformerV2(
        embed_dims=16,
        depths=(2, 2),
        num_heads=(1, 2),
        window_size=WINDOW,
        out_indices=(0, 1),
        attention=attention,
    ).eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(2, 3, 74, 103)  # 19 x 26 tokens: padded in both stages
    clean = backbone(images)
    images[1, 0, 4 * token[0], 4 * token[1]] = math.nan
    touched = torch.zeros(19, 26, dtype=torch.bool)
    touched[token] = True
    for before, after in zip(clean, backbone(images), strict=True):
        for shift in (0, SHIFT):
            touched = spread(touched, shift)
        assert torch.equal(after[0], before[0])
        assert torch.equal(after[1].isnan().all(0), touched)
        assert torch.equal(after[1].isnan().any(0), touched)
        torch.testing.assert_close(after[1][:, ~touched], before[1][:, ~touched])
        touched = merge(touched)
    assert not touched.all()
