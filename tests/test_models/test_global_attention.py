"""Global self-attention on the last map, the neck of HTC++."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from mmswinv2.models import GlobalAttention
from mmswinv2.registry import MODELS


def maps(height: int = 7, width: int = 5) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    sizes = [(8, 2 * height, 2 * width), (16, height, width)]
    return tuple(torch.randn(2, *size) for size in sizes)


def test_starts_as_the_identity() -> None:
    """A pre-trained backbone's maps reach the heads unchanged at first."""
    neck = MODELS.build(
        dict(type="mmswinv2.GlobalAttention", in_channels=16, num_heads=2)
    )
    neck.init_weights()
    given = maps()
    for before, after in zip(given, neck(given), strict=True):
        assert torch.equal(before, after) and after.is_contiguous()


@pytest.mark.parametrize("size", [(7, 5), (1, 1), (1, 9), (40, 3)])
def test_every_token_sees_every_other(
    trained_like: Callable[[nn.Module], nn.Module], size: tuple[int, int]
) -> None:
    """On maps of any size, one window: a far corner changes the first token."""
    neck = trained_like(GlobalAttention(16, 2))
    given = maps(*size)
    given[1].requires_grad_()
    first, out = neck(given)
    assert first is given[0] and out.shape == given[1].shape
    out[0, :, 0, 0].square().sum().backward()
    reached = given[1].grad.abs().sum(1)
    assert reached[0].min() > 0
    assert reached[1].max() == 0  # images do not see each other


def test_learns_from_its_zeros() -> None:
    """Gradients reach the norms that start at zero, so that training can begin."""
    neck = GlobalAttention(16, 2, with_cp=True).train()
    neck(maps())[1].square().sum().backward()
    block = neck.stage.blocks[0]
    assert block.norm1.weight.grad.abs().max() > 0
    assert block.norm2.weight.grad.abs().max() > 0


def test_bad_input() -> None:
    """A malformed unit of the coordinates is refused."""
    with pytest.raises(ValueError, match="pretrained_window_size='48'"):
        GlobalAttention(16, 2, pretrained_window_size="48")
