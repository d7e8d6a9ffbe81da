"""NaN and infinity stay with the tokens that attend to them.

A shift puts tokens from opposite borders of a map into one window, where they do not
see each other: their attention weights are 0. But 0 * NaN is NaN in a matrix product,
and no mask changes that. So tokens that are not finite are taken out, and what sees
them is set to NaN.
"""
# B batch, map (H, W) or (T, H, W), C channels

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kept import is_watched


def attend_apart(
    attend: Callable[..., Tensor],
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, ...],
    shift: tuple[int, ...],
    dropout: float,
) -> Tensor:
    """``attend`` with what is not finite kept in its region.

    It looks for that on CPUs alone, in a sum of the output (about 1 % of a backbone's
    time): on GPUs that would make the host wait, and elsewhere, as in compiled graphs,
    no value may be looked at. There NaN may reach all tokens of its windows; it never
    leaves these.

    Arguments behind the implementation are those of :func:`window_attention`.
    """
    geometry = window, shift
    out = attend(qkv, table, scale, *geometry, dropout)
    if not any(shift) or not qkv.is_cpu or is_watched() or _is_finite(out):
        return out
    bad = ~qkv.isfinite().all(-1, keepdim=True)  # (B, *map, 1)
    # Queries and keys of 0 give equal weights to all that a token sees.
    flags = F.pad(bad.to(table.dtype), (2, 0))
    table_of_0, scale_of_1 = torch.zeros_like(table[:1]), torch.ones_like(scale[:1])
    with torch.no_grad():
        share = attend(flags, table_of_0, scale_of_1, *geometry, 0.0)  # (B, *map, 1)
    out = attend(qkv.masked_fill(bad, 0), table, scale, *geometry, dropout)
    return out.masked_fill(share > 0, math.nan)


def _is_finite(x: Tensor) -> bool:
    """Whether all numbers are finite, if their sum is in fp32."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    return math.isfinite(x.detach().sum(dtype=dtype).item())
