"""The check by which the kernels prove themselves on a device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..self_check.compare import require_near
from .operator import residual_norm

EPS = 1e-5
NARROW = 100  # channels: fills no tile, and its rows are not aligned to 16 bytes
INPUTS = ("x", "the branch", "the weight", "the bias")


def check(device: torch.device, dtype: torch.dtype, channels: int) -> None:
    """Compare values and gradients of small maps with plain operators in fp64.

    Args:
        device (torch.device): Where the kernels run.
        dtype (torch.dtype): Of the branch.
        channels (int): Of the map; a narrower map runs as well.

    Raises:
        RuntimeError: If a quantity is wrong; says which and by how much.
    """
    for C in (NARROW, channels):
        _compare(device, C, dtype, dtype, None)
        if dtype != torch.float32:  # under autocast
            _compare(device, C, torch.float32, dtype, dtype)


def _compare(
    device: torch.device,
    C: int,
    x_dtype: torch.dtype,
    branch_dtype: torch.dtype,
    low_dtype: torch.dtype | None,
) -> None:
    random = torch.Generator().manual_seed(0)  # the user's seed stays as it is
    shapes = 2 * [(3, 5, 7, C)] + 2 * [(C,)]
    dtypes = x_dtype, branch_dtype, torch.float32, torch.float32
    inputs = [
        torch.randn(shape, generator=random).to(kind)
        for shape, kind in zip(shapes, dtypes)
    ]
    keep = torch.tensor((1.25, 0.0, 1.0))
    kinds = (x_dtype,) if low_dtype is None else (x_dtype, low_dtype)
    grads = [torch.randn(shapes[0], generator=random).to(kind) for kind in kinds]
    with torch.enable_grad():
        exact = [x.double().requires_grad_() for x in inputs]
        x, branch, weight, bias = exact
        normed = F.layer_norm(branch, (C,), weight, bias, EPS)
        y = x + keep.view(-1, 1, 1, 1) * normed
        total = torch.stack([grad.double() for grad in grads]).sum(0)
        right = torch.autograd.grad(y, exact, total)
        x, branch, weight, bias = inputs = [
            x.to(device).requires_grad_() for x in inputs
        ]
        outs = residual_norm(x, branch, weight, bias, EPS, keep.to(device), low_dtype)
        grads = [grad.to(device) for grad in grads]
        found = torch.autograd.grad(outs[: len(kinds)], inputs, grads)
    for name, out, kind in zip(("the sum", "its copy"), outs, kinds):
        _require_near(name, out, y, kind, C)
    for name, grad, exact_grad, kind in zip(INPUTS, found, right, dtypes):
        _require_near(f"the gradient of {name}", grad, exact_grad, kind, C)


def _require_near(
    name: str, result: Tensor, exact: Tensor, dtype: torch.dtype, channels: int
) -> None:
    """Rounding alone gives a quarter of eps, cutting off half."""
    allowed = 0.75 * torch.finfo(dtype).eps + 1e-6
    exact = exact.detach()
    result = result.detach().to(exact.device)
    require_near(f"{name} of {channels} channels", result, exact, dtype, allowed)
