"""Training goes the same way whatever computes the attention."""

from importlib.util import find_spec

import pytest
import torch

from mmswinv2.models import SwinTransformerV2
from mmswinv2.ops.window_attention import IMPLEMENTATIONS

STEPS = 8
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def loss_curve(implementation: str, dtype: torch.dtype) -> list[float]:
    """Losses of learning a fixed target, with padding and shifted windows."""
    torch.manual_seed(0)
    model = SwinTransformerV2(
        embed_dims=32,
        depths=(2,),
        num_heads=(2,),
        window_size=4,
        out_indices=(0,),
        drop_path_rate=0.0,
        attention=implementation,
    ).to(DEVICE, dtype)
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.ones_(parameter)  # branches that start at zero hide a lot
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    image = torch.randn(1, 3, 24, 28).to(DEVICE, dtype)
    target = torch.randn(1, 32, 6, 7).to(DEVICE, dtype)
    losses = []
    for _ in range(STEPS):
        loss = (model(image)[0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(scope="module")
def truth() -> list[float]:
    return loss_curve("reference", torch.float64)


@pytest.mark.filterwarnings("error:window attention by 'triton'")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_losses_of_a_training_are_equal(
    implementation: str, truth: list[float]
) -> None:
    if implementation == "triton" and find_spec("triton") is None:
        pytest.skip("needs triton")
    losses = loss_curve(implementation, torch.float32)
    assert losses == pytest.approx(truth, rel=1e-3)
    assert losses[-1] < 0.9 * losses[0]
