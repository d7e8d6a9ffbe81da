"""Whether the fused residual norm runs."""

import logging
import os
from functools import cache

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.autograd import forward_ad

from mmswinv2.ops import self_check
from mmswinv2.ops.kept import is_watched

from .operator import MAX_CHANNELS

VARIABLE = "MMSWINV2_RESIDUAL_NORM"
CHOICES = ("auto", "triton", "plain")
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
PROVEN_TOGETHER = 1024  # channels; narrower maps need no check of their own


def is_fused(
    x: Tensor, branch: Tensor, weight: Tensor | None, bias: Tensor | None
) -> bool:
    """Whether :func:`.operator.residual_norm` is to be used on these tensors.

    The environment variable ``MMSWINV2_RESIDUAL_NORM`` decides: 'plain' never,
    'triton' always, 'auto' (the default) on CUDA once the kernels have proven
    themselves there.

    Args:
        x (Tensor): Main branch ``(B, H, W, C)``.
        branch (Tensor): Output of a branch ``(B, H, W, C)``.
        weight (Tensor, optional): Of the norm, ``(C,)``.
        bias (Tensor, optional): Of the norm, ``(C,)``.

    Raises:
        RuntimeError: If 'triton' is asked for and cannot run.
        ValueError: If the variable has another value.
    """
    choice = os.environ.get(VARIABLE, "auto")
    if choice not in CHOICES:
        raise ValueError(f"{VARIABLE}={choice!r}: expected one of {', '.join(CHOICES)}")
    if choice == "plain" or (choice == "auto" and not x.is_cuda):
        return False
    reason = unsupported(x, branch, weight, bias)
    if reason is None:
        reason = _refusal(x, branch)
        if reason is not None and choice == "auto":
            _warn_once(reason)
    if reason is not None and choice == "triton":
        raise RuntimeError(
            f"{VARIABLE}=triton, but the kernels cannot run: {reason}. Without the "
            "variable plain modules run where kernels cannot"
        )
    return reason is None


def _refusal(x: Tensor, branch: Tensor) -> str | None:
    if not x.is_cuda:  # the interpreter has nothing to prove
        return self_check.unsupported(x.device)
    channels = max(1 << (x.shape[-1] - 1).bit_length(), PROVEN_TOGETHER)
    return self_check.refusal("residual_norm", x.device, branch.dtype, channels)


@cache
def _warn_once(reason: str) -> None:
    print_log(
        f"The fused residual norm cannot run: {reason}. Plain modules run instead, "
        "slower and with the same results. `python tools/check_gpu.py` checks again "
        "and prints what a report needs",
        logger="current",
        level=logging.WARNING,
    )


def unsupported(
    x: Tensor, branch: Tensor, weight: Tensor | None, bias: Tensor | None
) -> str | None:
    """Why the kernels cannot run on these tensors; None if they can."""
    if weight is None or bias is None:
        return "the norm has no weight or no bias"
    for tensor in (x, branch, weight, bias):
        if type(tensor) not in (Tensor, nn.Parameter):  # DTensor, FakeTensor
            return f"they need plain tensors, got {type(tensor).__name__}"
        if tensor.dtype not in DTYPES:
            return f"they need fp16, bf16 or fp32, got {tensor.dtype}"
    if x.shape[-1] > MAX_CHANNELS:
        return f"they need at most {MAX_CHANNELS} channels, got {x.shape[-1]}"
    if forward_ad._current_level >= 0 or is_watched():
        return "they have no forward-mode derivatives and are no operators of torch"
    return None
