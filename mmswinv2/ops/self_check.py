"""Whether kernels have proven themselves on a device."""

import torch


def refusal(
    kernel: str, device: torch.device, dtype: torch.dtype, channels: int
) -> str | None:
    """Why a kernel is not to be used; None: nothing is known against it."""
    return None
