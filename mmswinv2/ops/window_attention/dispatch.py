"""The public operator and the choice of its implementation."""

import os
from collections.abc import Callable
from functools import cache, partial

import torch
from mmengine.logging import print_log
from torch import Tensor

from .operator import attend
from .reference import reference_window_attention
from .sdpa import sdpa_window_attention

VARIABLE = "MMSWINV2_ATTENTION"  # what 'auto' stands for


def _as_node(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    window: tuple[int, int],
    shift: tuple[int, int],
    dropout: float,
    *,
    implementation: str,
) -> Tensor:
    if dropout:
        raise ValueError(
            f"attention={implementation!r} has no dropout of attention weights; use "
            "'auto', 'sdpa' or 'reference', or set attn_drop_rate to 0"
        )
    return attend(qkv, table, scale, window, shift, implementation)


IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "reference": reference_window_attention,
    "sdpa": sdpa_window_attention,
    "chunked": partial(_as_node, implementation="chunked"),
    "triton": partial(_as_node, implementation="triton"),
}


def check_implementation(name: str) -> None:
    """Raise ValueError unless ``name`` is 'auto' or a known implementation."""
    if name != "auto" and name not in IMPLEMENTATIONS:
        known = ", ".join(repr(known) for known in ("auto", *IMPLEMENTATIONS))
        raise ValueError(f"attention={name!r} is unknown; choose one of {known}")


def _choose(qkv: Tensor, dropout: float) -> str:
    """What 'auto' stands for."""
    name = os.environ.get(VARIABLE, "auto")
    if name != "auto":
        if name not in IMPLEMENTATIONS:
            known = ", ".join(("auto", *IMPLEMENTATIONS))
            raise ValueError(f"{VARIABLE}={name!r}: expected one of {known}")
        return name
    if torch.jit.is_tracing():
        return "reference"  # plain operators, which FLOP counters and exporters know
    if dropout:
        return "sdpa"
    return {"cpu": "chunked", "cuda": "triton"}.get(qkv.device.type, "sdpa")


@cache
def _log_once(name: str, device: str) -> None:
    print_log(f"Window attention on {device} runs '{name}'", logger="current")


def window_attention(
    qkv: Tensor,
    table: Tensor,
    scale: Tensor,
    *,
    window: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
    dropout: float = 0.0,
    implementation: str = "auto",
) -> Tensor:
    """Scaled cosine attention within (shifted) windows of a feature map.

    ``softmax(scale * cos(q, k) + bias) v`` (Swin V2, section 3.2, equation 2) over
    windows of ``window`` tokens. Maps that the window does not divide are padded at
    the bottom and right, then shifted; padded tokens are never attended to, and the
    regions that a shift joins do not see each other. Logits and softmax accumulate in
    at least fp32.

    Args:
        qkv (Tensor): Queries, keys and values of the plain, unpadded tokens,
            ``(B, H, W, 3 * C)``; channels are ordered (q, k, v), each by head.
        table (Tensor): Position bias of every relative offset, fp32,
            ``(heads, 2 * window_h - 1, 2 * window_w - 1)``; its centre is offset 0.
        scale (Tensor): Logit scale of every head, ``(heads,)``, at most 100.
        window (tuple[int, int]): Window height and width in tokens.
        shift (tuple[int, int]): Cyclic shift in tokens, each smaller than the window.
        dropout (float): Probability with which attention weights are dropped.
        implementation (str): 'reference' (plain and readable, the truth for tests),
            'sdpa' (``torch.nn.functional.scaled_dot_product_attention``), 'chunked' (a
            few windows at a time) or 'triton' (fused kernels; 'sdpa' with a warning
            where they cannot run). The last two keep no attention weights. 'auto'
            stands for the environment variable ``MMSWINV2_ATTENTION``, and where that
            is not set for the fastest here: 'chunked' on CPU, 'triton' on CUDA, else
            'sdpa'; 'reference' while tracing.

    Returns:
        Tensor: Attention output ``(B, H, W, C)`` in the dtype of ``qkv``.

    Raises:
        ValueError: If the implementation is unknown or lacks what is asked of it.
    """
    check_implementation(implementation)
    if implementation == "auto":
        implementation = _choose(qkv, dropout)
    if not torch.compiler.is_compiling():
        _log_once(implementation, qkv.device.type)
    attend = IMPLEMENTATIONS[implementation]
    # Precision is decided here and not by autocast, which would cast logits and bias.
    with torch.autocast(qkv.device.type, enabled=False):
        return attend(qkv, table, scale, window, shift, dropout)
