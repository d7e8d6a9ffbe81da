"""The public operator and the choice of its implementation."""

from collections.abc import Callable

import torch
from torch import Tensor

from .reference import reference_window_attention
from .sdpa import sdpa_window_attention

IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "reference": reference_window_attention,
    "sdpa": sdpa_window_attention,
}


def check_implementation(name: str) -> None:
    """Raise ValueError unless ``name`` is 'auto' or a known implementation."""
    if name != "auto" and name not in IMPLEMENTATIONS:
        known = ", ".join(repr(known) for known in ("auto", *IMPLEMENTATIONS))
        raise ValueError(f"attention={name!r} is unknown; choose one of {known}")


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
        implementation (str): 'auto', 'reference' (plain and readable, the truth for
            tests) or 'sdpa' (``torch.nn.functional.scaled_dot_product_attention``).

    Returns:
        Tensor: Attention output ``(B, H, W, C)`` in the dtype of ``qkv``.
    """
    check_implementation(implementation)
    attend = IMPLEMENTATIONS["sdpa" if implementation == "auto" else implementation]
    # Precision is decided here and not by autocast, which would cast logits and bias.
    with torch.autocast(qkv.device.type, enabled=False):
        return attend(qkv, table, scale, window, shift, dropout)
