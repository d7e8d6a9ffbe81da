"""Residual connection with the norm behind the branch, in fused kernels."""

from .choice import is_fused
from .operator import residual_norm

__all__ = ["is_fused", "residual_norm"]
