"""The public operator and the choice of its implementation."""

import logging
import math
import os
from collections.abc import Callable
from functools import cache, partial

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.amp import is_autocast_available
from torch.autograd import forward_ad

from ..self_check import refusal, unsupported
from .not_finite import attend_apart
from .operator import attend
from .reference import reference_window_attention
from .sdpa import sdpa_window_attention
from .triton_attention import DTYPES, HEAD_CHANNELS

VARIABLE = "MMSWINV2_ATTENTION"  # what 'auto' stands for


def _as_node(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, ...],
    shift: tuple[int, ...],
    dropout: float,
    *,
    implementation: str,
    frozen: bool = False,
) -> Tensor:
    if dropout:
        raise ValueError(
            f"attention={implementation!r} has no dropout of attention weights; use "
            "'auto', 'sdpa' or 'reference', or set attn_drop_rate to 0"
        )
    # Only looked for inside of forward-mode AD, which would silently drop tangents.
    if forward_ad._current_level >= 0 and any(map(_has_tangent, (qkv, table, scale))):
        raise NotImplementedError(
            f"attention={implementation!r} has no forward-mode derivative; use "
            "'reference', by the backbone's argument 'attention' or "
            f"{VARIABLE}=reference"
        )
    return attend(qkv, table, scale, window, shift, implementation, frozen)


IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "reference": reference_window_attention,
    "sdpa": sdpa_window_attention,
    "chunked": partial(_as_node, implementation="chunked"),
    "triton": partial(_as_node, implementation="triton"),
}
AUTO = {"cpu": "chunked", "cuda": "triton"}  # elsewhere 'sdpa'
# What 'auto' takes on a GPU without the kernels where gradients are wanted: their
# memory would be that of all attention weights.
IN_PIECES = "sdpa, backward in pieces"
# Tokens of a window, 56 x 56, up to which 'sdpa' and the bias of all pairs of a window
# that it needs, 40 MB per head, are taken where nobody asked for them.
PAIRED_TOKENS = 56**2
ALL = IMPLEMENTATIONS | {IN_PIECES: partial(_as_node, implementation="sdpa")}


def check_implementation(name: str) -> None:
    """Raise ValueError unless ``name`` is 'auto' or a known implementation."""
    if name != "auto" and name not in IMPLEMENTATIONS:
        known = ", ".join(repr(known) for known in ("auto", *IMPLEMENTATIONS))
        raise ValueError(f"attention={name!r} is unknown; choose one of {known}")


def _has_tangent(x: Tensor) -> bool:
    return forward_ad.unpack_dual(x).tangent is not None


def _asked() -> str:
    """What the environment says that 'auto' stands for, 'auto' if nothing."""
    name = os.environ.get(VARIABLE, "auto")
    if name != "auto" and name not in IMPLEMENTATIONS:
        known = ", ".join(("auto", *IMPLEMENTATIONS))
        raise ValueError(f"{VARIABLE}={name!r}: expected one of {known}")
    return name


def _choose(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, ...],
    dropout: float,
) -> str:
    """What 'auto' stands for where nothing else was asked for."""
    if torch.jit.is_tracing():
        return "reference"  # plain operators, which FLOP counters and exporters know
    if dropout:
        return "sdpa"
    name = AUTO.get(qkv.device.type, "sdpa")
    in_pieces = math.prod(window) > PAIRED_TOKENS
    if name != "triton":
        return "chunked" if in_pieces else name
    reason = why_not_triton(qkv, len(table), window)
    if reason is None:
        return "triton"
    _warn(str(qkv.device), reason)
    if in_pieces:
        return "chunked"
    with_grad = any(x.requires_grad for x in (qkv, table, scale))
    # A compiler sees one operator in either case: groups of windows depend on sizes.
    if torch.compiler.is_compiling() or (with_grad and torch.is_grad_enabled()):
        return IN_PIECES
    return "sdpa"


def why_not_triton(qkv: Tensor, heads: int, window: tuple[int, ...]) -> str | None:
    """Why the Triton kernels cannot run on a map; None if they can.

    Args:
        qkv (Tensor): ``(B, *map, 3C)``.
        heads (int): Number of heads.
        window (tuple[int, ...]): In tokens.
    """
    channels = qkv.shape[-1]
    if qkv.dtype not in DTYPES:
        return f"it needs fp16, bf16 or fp32, got {qkv.dtype}"
    if channels // (3 * heads) not in HEAD_CHANNELS:
        needed = "it needs 16, 32 or 64 channels per head"
        return f"{needed}, got {channels // (3 * heads)}"
    if math.prod(qkv.shape[1:]) >= 2**31:
        return "the map of one image has 2**31 or more numbers"
    tokens = math.prod(window)
    # Places are divided by all axes but the first, see :func:`.triton_windows.divide`.
    if tokens**2 >= 2**31 or tokens * max(window[1:]) >= 2**29:
        return f"a window of {' x '.join(map(str, window))} tokens is too large"
    kernel = "window_attention" if len(window) == 2 else "window_attention_3d"
    return _judge(kernel, str(qkv.device), qkv.dtype, channels // (3 * heads))


@torch.compiler.assume_constant_result
def _judge(kernel: str, device: str, dtype: torch.dtype, channels: int) -> str | None:
    found = torch.device(device)
    if found.type == "cuda":
        return refusal(kernel, found, dtype, channels)
    return unsupported(found)  # Triton's interpreter needs no proof


@torch.compiler.assume_constant_result  # which runs while a compiler looks on
def _warn(device: str, reason: str) -> None:
    _warn_once(device, reason)


@cache
def _warn_once(device: str, reason: str) -> None:
    print_log(
        f"Window attention on {device} cannot run 'triton': {reason}. 'sdpa' runs "
        "instead, in training with a backward pass in pieces. "
        "`python tools/check_gpu.py` checks again and prints what a report needs",
        logger="current",
        level=logging.WARNING,
    )


@cache
def _log_once(name: str, device: str) -> None:
    print_log(f"Window attention on {device} runs {name!r}", logger="current")


def window_attention(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    *,
    window: tuple[int, ...],
    shift: tuple[int, ...] | None = None,
    dropout: float = 0.0,
    implementation: str = "auto",
    frozen: bool = False,
) -> Tensor:
    """Scaled cosine attention within (shifted) windows of a feature map.

    ``softmax(scale * cos(q, k) + bias) v`` (Swin V2, section 3.2, equation 2) over
    windows of ``window`` tokens: of a map ``(H, W)`` of an image, or ``(T, H, W)`` of a
    clip. Maps that the window does not divide are padded at the end of every axis,
    then shifted; padded tokens are never attended to, and the regions that a shift
    joins do not see each other. Logits and softmax accumulate in at least fp32.

    Args:
        qkv (Tensor): Queries, keys and values of the plain, unpadded tokens,
            ``(B, *map, 3 * C)``; channels are ordered (q, k, v), each by head.
        table (Tensor): Position bias of every relative offset, query minus key, fp32,
            ``(heads, *(2 * size - 1))`` for every ``size`` of the window; its centre is
            offset 0.
        scale (Tensor): Logit scale of every head, ``(heads,)``, at most 100.
        window (tuple[int, ...]): (h, w) or (t, h, w) in tokens.
        shift (tuple[int, ...], optional): Likewise, the cyclic shift, smaller than the
            window. Defaults to None: no shift.
        dropout (float): Probability with which attention weights are dropped.
        implementation (str): 'reference' (plain and readable, the truth for tests),
            'sdpa' (``torch.nn.functional.scaled_dot_product_attention``), 'chunked' (a
            few windows at a time) or 'triton' (fused kernels). The last two keep no
            attention weights. 'auto' stands for the environment variable
            ``MMSWINV2_ATTENTION``, and where that is not set for the fastest here:
            'chunked' on CPU; on CUDA 'triton' where it has proven itself, else, with a
            warning, 'sdpa'; 'sdpa' elsewhere, but 'chunked' where the bias of all pairs
            of a window would fill the memory; 'reference' while tracing. Tensors of the
            device 'meta', without values, take 'sdpa' in any case.
        frozen (bool): Whether nobody changes table and scale, so that what is made of
            them may be kept as long as they live. Defaults to False.

    Returns:
        Tensor: Attention output ``(B, *map, C)`` in the dtype of ``qkv``.

    Raises:
        ValueError: If the implementation is unknown or lacks what is asked of it.
        RuntimeError: If 'triton' was asked for and cannot run.
        NotImplementedError: If 'chunked' or 'triton' meets forward-mode AD.
    """
    check_implementation(implementation)
    shift = shift or (0,) * len(window)
    name = _asked() if implementation == "auto" else implementation
    if qkv.is_meta:
        name = "sdpa"
    elif name == "auto":
        name = _choose(qkv, table, scale, window, dropout)
    elif name == "triton" and (reason := why_not_triton(qkv, len(table), window)):
        raise RuntimeError(
            f"attention='triton' cannot run here: {reason}. 'auto' takes what can; "
            "`python tools/check_gpu.py` tells more"
        )
    if not torch.compiler.is_compiling():
        _log_once(name, qkv.device.type)
    if not len(qkv):  # which no kernel takes; gradients are zeros
        nothing = 0 * (table.sum() + scale.sum())
        return qkv[..., : qkv.shape[-1] // 3] + nothing.to(qkv.dtype)
    attend = ALL[name]
    if name == "triton":
        return attend(qkv, table, scale, window, shift, dropout, frozen=frozen)
    attend = partial(attend_apart, attend)
    if not is_autocast_available(qkv.device.type):
        return attend(qkv, table, scale, window, shift, dropout)
    # Precision is decided here and not by autocast, which would cast logits and bias.
    with torch.autocast(qkv.device.type, enabled=False):
        return attend(qkv, table, scale, window, shift, dropout)
