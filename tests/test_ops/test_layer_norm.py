import pytest
import torch
import torch.nn.functional as F

from mmswinv2.ops.layer_norm import LayerNorm


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("low_weights", [False, True])
def test_gradients_of_many_16_bit_tokens_are_summed_in_fp32(dtype, low_weights):
    """Torch's own are off by a third here."""
    torch.manual_seed(0)
    norm = LayerNorm(8).to(dtype if low_weights else torch.float32)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 100, 100, 8).to(dtype).requires_grad_()
    grad = (torch.randn(x.shape) + 0.1).to(dtype)
    out = norm(x)
    with torch.no_grad():
        assert torch.equal(norm(x), out)
    given = torch.autograd.grad(out, (x, norm.weight, norm.bias), grad)
    exact = [v.detach().double().requires_grad_() for v in (x, norm.weight, norm.bias)]
    truth = F.layer_norm(exact[0], (8,), *exact[1:], norm.eps)
    right = torch.autograd.grad(truth, exact, grad.double())
    for value, expected in zip(given, right, strict=True):
        unit = torch.finfo(value.dtype).eps
        assert (value - expected).norm() < max(unit, 1e-5) * expected.norm()


def test_a_norm_may_have_no_weights():
    x = torch.randn(1, 2, 3, 8, dtype=torch.bfloat16, requires_grad=True)
    out = LayerNorm(8, elementwise_affine=False)(x)
    torch.testing.assert_close(out, F.layer_norm(x, (8,)))
