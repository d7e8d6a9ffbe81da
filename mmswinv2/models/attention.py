"""Scaled cosine window attention: projections around the one operator."""
# B batch, H W (or T H W) map in tokens, C channels, n heads

import math

import torch
from torch import Tensor, nn

from mmswinv2.ops.kept import kept
from mmswinv2.ops.linear import Linear, linear
from mmswinv2.ops.window_attention import check_implementation, window_attention

from .position_bias import PositionBias

MAX_LOG_SCALE = math.log(100)  # temperature of at least 0.01, Swin V2 section 3.2


class WindowAttention(PositionBias):
    """Multi-head scaled cosine attention in windows (Swin V2, section 3.2).

    Queries and values have a bias, keys have none, as in the official weights.

    Args:
        embed_dims (int): Number of channels C.
        num_heads (int): Number of heads; divides ``embed_dims``.
        position_bias (str): See :class:`PositionBias`.
        pretrained_window (tuple[int, ...]): Window of a table of biases, in tokens.
        qkv_bias (bool): Whether queries and values have a bias. Defaults to True.
        attn_drop_rate (float): Dropout of attention weights. Defaults to 0.
        proj_drop_rate (float): Dropout of the output. Defaults to 0.
        implementation (str): See :func:`window_attention`. Defaults to 'auto'.
    """

    def __init__(
        self,
        embed_dims: int,
        *,
        num_heads: int,
        position_bias: str,
        pretrained_window: tuple[int, ...],
        qkv_bias: bool = True,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        implementation: str = "auto",
    ) -> None:
        super().__init__(
            position_bias, num_heads=num_heads, pretrained_window=pretrained_window
        )
        check_implementation(implementation)
        self.implementation = implementation
        self.attn_drop_rate = attn_drop_rate
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10)))
        self.qkv = Linear(embed_dims, embed_dims * 3, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.proj = Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def forward(
        self,
        x: Tensor,
        table: Tensor,
        *,
        window: tuple[int, ...],
        shift: tuple[int, ...],
    ) -> Tensor:
        """Attend within windows.

        Args:
            x (Tensor): Tokens ``(B, H, W, C)``, of videos ``(B, T, H, W, C)``.
            table (Tensor): From :meth:`position_bias` for ``window``.
            window (tuple[int, ...]): Window in tokens.
            shift (tuple[int, ...]): Shift in tokens.

        Returns:
            Tensor: Of the shape of ``x``.
        """
        out = window_attention(
            linear(x, self.qkv.weight, self._qkv_bias(x)),
            table,
            self.keep("scale", (), (self.logit_scale,), self._scale),
            window=window,
            shift=shift,
            dropout=self.attn_drop_rate if self.training else 0.0,
            implementation=self.implementation,
            frozen=not self.training,  # what is kept is made anew, not changed
        )
        out = self.proj(out)
        return self.proj_drop(out) if self.proj_drop.p else out

    def _scale(self) -> Tensor:
        """``(n,)``, at most 100."""
        return self.logit_scale.float().flatten().clamp(max=MAX_LOG_SCALE).exp()

    def _qkv_bias(self, x: Tensor) -> Tensor | None:
        """``(3C,)``, 0 for keys; kept in the precision that autocast casts it to."""
        q_bias, v_bias = self.q_bias, self.v_bias
        if q_bias is None or v_bias is None:
            return None
        device = x.device.type
        dtype = q_bias.dtype
        if torch.is_autocast_enabled(device) and dtype != torch.float64:
            dtype = torch.get_autocast_dtype(device)

        def join() -> Tensor:
            zeros = _zeros(q_bias.shape, q_bias.dtype, q_bias.device)
            return torch.cat((q_bias, zeros, v_bias)).to(dtype)

        return self.keep("bias", (dtype,), (q_bias, v_bias), join)


@kept(64)
def _zeros(size: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.zeros(size, dtype=dtype, device=device)
