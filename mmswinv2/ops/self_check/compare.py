"""Compare what a kernel gives with what is right."""

import torch
from torch import Tensor


class WrongResultError(RuntimeError):
    """A kernel gives something else than the reference; the message says it all."""


def require_near(
    name: str, result: Tensor, exact: Tensor, dtype: torch.dtype, allowed: float
) -> None:
    """Raise WrongResultError unless a result is as the reference.

    Args:
        name (str): Of the quantity, such as 'the gradient of q'.
        result (Tensor): Of the kernel.
        exact (Tensor): Of the reference, in fp64.
        dtype (torch.dtype): That the result must have.
        allowed (float): Norm of the difference over the norm of ``exact``.
    """
    if result.shape != exact.shape:
        wrong = f"has the shape {tuple(result.shape)}, expected {tuple(exact.shape)}"
    elif result.dtype != dtype:
        wrong = f"is {result.dtype}, expected {dtype}"
    elif not result.isfinite().all():
        wrong = "is not finite"
    else:
        difference = torch.linalg.vector_norm(result.to(exact) - exact)
        error = (difference / torch.linalg.vector_norm(exact)).item()
        if error <= allowed:
            return
        wrong = f"differs from the reference by {error:.2g} (allowed {allowed:g})"
    raise WrongResultError(f"{name} {wrong}")
