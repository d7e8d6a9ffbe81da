"""Residual connections with the norm behind the branch (Swin V2, section 3.2)."""
# B batch, H W (or T H W) map in tokens, C channels

import torch
from torch import Tensor, nn

from mmswinv2.ops.layer_norm import LayerNorm
from mmswinv2.ops.linear import is_recorded
from mmswinv2.ops.residual_norm import is_fused, residual_norm

from .plain_modules import is_plain


class DropPath(nn.Module):
    """Stochastic depth: drop the whole branch of a sample, rescale the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """``(B, ...)`` -> ``(B, ...)``."""
        keep = self.keep(x)
        return x if keep is None else x * keep

    def keep(self, x: Tensor) -> Tensor | None:
        """Random factor of every sample, ``(B, 1, ...)``; None where all are 1."""
        if not self.training or self.rate == 0:
            return None
        keep = x.new_empty(x.shape[0], *(1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return keep.div_(1 - self.rate)

    def extra_repr(self) -> str:
        """Show the rate in a printed model."""
        return f"rate={self.rate:.3f}"


def takes_low(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module that begins with a matrix product may be given a copy of a map.

    Args:
        module (nn.Module): The module.
        kind (type): The class that is known to begin so.
    """
    return not is_recorded() and is_plain(module, kind)


def add_branch(
    x: Tensor, branch: Tensor, norm: LayerNorm, drop_path: DropPath, *, with_low: bool
) -> tuple[Tensor, Tensor]:
    """``x + drop_path(norm(branch))``, where possible in one kernel.

    Args:
        x (Tensor): Main branch ``(B, H, W, C)`` or ``(B, T, H, W, C)``.
        branch (Tensor): Of the shape of ``x``.
        norm (LayerNorm): Over channels.
        drop_path (DropPath): Stochastic depth.
        with_low (bool): Whether a matrix product comes next that may take a copy in
            autocast's precision.

    Returns:
        tuple: The sum and this copy, or the sum twice where the kernel wrote none.
    """
    if not _is_fused(x, branch, norm, drop_path):
        x = x + drop_path(norm(branch))
        return x, x
    low_dtype = None
    if with_low and torch.is_autocast_enabled(x.device.type):
        low_dtype = torch.get_autocast_dtype(x.device.type)
    keep = drop_path.keep(x)
    return residual_norm(x, branch, norm.weight, norm.bias, norm.eps, keep, low_dtype)


def _is_fused(x: Tensor, branch: Tensor, norm: LayerNorm, drop_path: DropPath) -> bool:
    if is_recorded():  # the compiler fuses plain modules, too
        return False
    if not (is_plain(norm, LayerNorm) and is_plain(drop_path, DropPath)):
        return False
    # Autocast's norms give fp32, and sums have the wider dtype; the kernel's x's.
    is_autocast = torch.is_autocast_enabled(x.device.type)
    normed = torch.float32 if is_autocast else branch.dtype
    if torch.promote_types(x.dtype, normed) != x.dtype:
        return False
    return is_fused(x, branch, norm.weight, norm.bias)
