"""Patch embedding, res-post-norm block, patch merging and stage."""
# B batch, H W (or T H W) map in tokens, C channels

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmswinv2.ops.layer_norm import LayerNorm
from mmswinv2.ops.linear import Linear, is_recorded, linear, tokens_at_a_time

from .attention import WindowAttention
from .module_lists import ModuleList
from .plain_modules import is_plain
from .position_bias import position_biases
from .res_post_norm import DropPath, add_branch, takes_low
from .window_fit import Window, fit_axis

PATCH_SIZE = 4  # px per token at stage 0


class PatchEmbed(nn.Module):
    """Embed patches, then LayerNorm; pads pixels bottom and right with zeros.

    Args:
        in_channels (int): Channels of the image.
        embed_dims (int): Channels C.
        size (tuple[int, ...]): Of a patch, (height, width) in px; of clips (frames,
            height, width), which are padded at their end, too.
        norm (bool): Whether there is a LayerNorm.
    """

    def __init__(
        self, in_channels: int, embed_dims: int, *, size: tuple[int, ...], norm: bool
    ) -> None:
        super().__init__()
        convolution: Any = nn.Conv3d if len(size) == 3 else nn.Conv2d
        self.proj = convolution(in_channels, embed_dims, size, size)
        self.norm = LayerNorm(embed_dims) if norm else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, height, width)`` in px -> ``(B, H, W, C)``; of clips likewise."""
        sides = zip(image.shape[2:], self.proj.stride)
        pads = [-length % side for length, side in sides]
        if any(pads):
            image = F.pad(image, [n for pad in reversed(pads) for n in (0, pad)])
        return self.norm(self.proj(image).movedim(1, -1))


class PatchMerging(nn.Module):
    """Join 2 x 2 tokens, ``(B, H, W, C)`` -> ``(B, ceil(H/2), ceil(W/2), 2C)``.

    V2 normalises after the reduction, V1 before. Odd maps are zero padded. Of videos
    ``(B, T, H, W, C)``, tokens are joined in space alone, as in Video Swin.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.reduction = Linear(4 * embed_dims, 2 * embed_dims, bias=False)
        self.norm = LayerNorm(2 * embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        H, W = x.shape[-3:-1]
        if H % 2 or W % 2:
            x = F.pad(x, (0, 0, 0, W % 2, 0, H % 2))
        x = x.unflatten(-2, (-1, 2)).unflatten(-4, (-1, 2))  # (B, H/2, 2, W/2, 2, C)
        # Order of the official weights: top-left, bottom-left, top-right, bottom-right.
        x = x.movedim(-4, -2).flatten(-3)
        return self.norm(self.reduction(x))


class Mlp(nn.Module):
    """Two linear layers with exact GELU between.

    Large maps on CPU go through in pieces whose hidden tokens stay in the cache, where
    no gradient needs them.
    """

    def __init__(self, embed_dims: int, hidden_dims: int, drop_rate: float) -> None:
        super().__init__()
        self.fc1 = Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dims, embed_dims)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` -> the same."""
        if x.device.type != "cpu" or torch.is_grad_enabled() or is_recorded():
            return self._mix(x)
        rows = tokens_at_a_time(self.fc1.out_features * x.element_size())
        tokens = x.reshape(1, 1, -1, x.shape[-1])
        if tokens.shape[2] <= rows:
            return self._mix(x)
        pieces = tokens.chunk(-(-tokens.shape[2] // rows), 2)  # all of one size
        return torch.cat([self._mix(piece) for piece in pieces], 2).view_as(x)

    def _mix(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        if self.drop.p:
            return self.drop(self.fc2(self.drop(self.act(x))))
        if is_plain(self.act, nn.GELU) and is_plain(self.fc2, Linear):
            return linear(x, self.fc2.weight, self.fc2.bias, gelu=True)
        return self.fc2(self.act(x))


def _recompute(module: nn.Module, *args: Any) -> Tensor:
    if torch.is_grad_enabled():
        return checkpoint(module, *args, use_reentrant=False)
    return module(*args)


class SwinBlock(nn.Module):
    """Res-post-norm block (Swin V2, section 3.2): LayerNorm on each branch's output.

    Args:
        embed_dims (int): Number of channels C.
        num_heads (int): Number of heads.
        shifted (bool): Whether windows are shifted by half their size.
        mlp_ratio (float): Hidden channels of the MLP over C.
        drop_rate (float): Dropout of projection and MLP.
        drop_path_rate (float): Stochastic depth.
        extra_norm (bool): LayerNorm on the main branch after this block, as Swin V2-H
            and -G have it every 6 blocks (section 3.6).
        **attention (Any): Passed to :class:`WindowAttention`.
    """

    def __init__(
        self,
        embed_dims: int,
        *,
        num_heads: int,
        shifted: bool,
        mlp_ratio: float,
        drop_rate: float,
        drop_path_rate: float,
        extra_norm: bool,
        **attention: Any,
    ) -> None:
        super().__init__()
        self.shifted = shifted
        self.attn = WindowAttention(
            embed_dims, num_heads=num_heads, proj_drop_rate=drop_rate, **attention
        )
        self.norm1 = LayerNorm(embed_dims)
        self.mlp = Mlp(embed_dims, int(embed_dims * mlp_ratio), drop_rate)
        self.norm2 = LayerNorm(embed_dims)
        self.drop_path = DropPath(drop_path_rate)
        self.norm3 = LayerNorm(embed_dims) if extra_norm else nn.Identity()

    def forward(
        self,
        x: Tensor,
        table: Tensor,
        window: Window,
        shift: Window,
        recompute_mlp: bool = False,
        low: Tensor | None = None,
        with_low: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """A map to one of its shape; see :meth:`WindowAttention.forward`.

        Args:
            x (Tensor): Main branch ``(B, H, W, C)`` or ``(B, T, H, W, C)``.
            table (Tensor): Position bias.
            window (tuple[int, ...]): Window in tokens.
            shift (tuple[int, ...]): Shift in tokens.
            recompute_mlp (bool): Recompute the MLP in the backward pass. Defaults to
                False.
            low (Tensor, optional): ``x`` in the precision of matrix products, if that
                was written with it. Defaults to None.
            with_low (bool): Return such a pair. Defaults to False.

        Returns:
            Tensor | tuple: Of the shape of ``x``; with ``with_low`` also as ``low``,
            or twice where no copy was written.
        """
        attended = self.attn(
            x if low is None else low, table, window=window, shift=shift
        )
        x, low = add_branch(
            x,
            attended,
            self.norm1,
            self.drop_path,
            with_low=takes_low(self.mlp, Mlp),
        )
        mixed = _recompute(self.mlp, low) if recompute_mlp else self.mlp(low)
        x, low = add_branch(x, mixed, self.norm2, self.drop_path, with_low=with_low)
        main = self.norm3(x)
        if not with_low:
            return main
        return main, low if main is x else main


class SwinStage(nn.Module):
    """Blocks of one resolution, with plain and shifted windows in turn.

    Args:
        embed_dims (int): Number of channels C.
        drop_path_rates (list[float]): Stochastic depth of every block.
        downsample (bool): Whether the stage ends with patch merging.
        window (tuple[int, ...]): Window in tokens.
        pretrained_window (tuple[int, ...]): Normaliser of the position bias, in tokens;
            for a table of biases, its window.
        window_fit (str): See :func:`fit_axis`.
        with_cp (bool): Recompute in the backward pass to save memory.
        checkpoint (str): What is recomputed: 'block' or 'mlp'. Defaults to 'block'.
        extra_norm_every_n_blocks (int): 0 for none.
        **block (Any): Passed to :class:`SwinBlock`.
    """

    def __init__(
        self,
        embed_dims: int,
        *,
        drop_path_rates: list[float],
        downsample: bool,
        window: Window,
        pretrained_window: Window,
        window_fit: str,
        with_cp: bool,
        checkpoint: str = "block",
        extra_norm_every_n_blocks: int,
        **block: Any,
    ) -> None:
        super().__init__()
        self.window = window
        self.pretrained_window = pretrained_window
        self.window_fit = window_fit
        self.with_cp = with_cp
        self.checkpoint = checkpoint
        every = extra_norm_every_n_blocks
        self.blocks = ModuleList(
            SwinBlock(
                embed_dims,
                shifted=i % 2 == 1,
                drop_path_rate=rate,
                extra_norm=every > 0 and (i + 1) % every == 0,
                pretrained_window=pretrained_window,
                **block,
            )
            for i, rate in enumerate(drop_path_rates)
        )
        self.downsample = PatchMerging(embed_dims) if downsample else None

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` or ``(B, T, H, W, C)`` -> the same, before patch merging."""
        sizes = x.shape[1:-1]
        if torch.jit.is_tracing():  # they are tensors, and would stay so
            sizes = map(int, sizes)
        recompute_block = self.with_cp and self.checkpoint == "block"
        # Of a recomputed block both would be kept.
        pairs = not recompute_block and self._takes_pairs(x.device.type)
        low = None
        fits = [
            fit_axis(size, window, shifted=True, fit=self.window_fit)
            for size, window in zip(sizes, self.window)
        ]
        window, shift = zip(*fits)
        unshifted = (0,) * len(shift)
        # Outside the recomputed part: the tables do not depend on x.
        attentions = [block.attn for block in self.blocks]
        tables = position_biases(attentions, window, self.pretrained_window)
        for block, table in zip(self.blocks, tables):
            args = (x, table, window, shift if block.shifted else unshifted)
            if recompute_block:
                x = _recompute(block, *args)
            elif pairs and block is not self.blocks[-1]:
                x, low = block(
                    *args, recompute_mlp=self.with_cp, low=low, with_low=True
                )
            else:
                x = block(*args, recompute_mlp=self.with_cp, low=low)
        return x

    def _takes_pairs(self, device: str) -> bool:
        """Whether blocks give each other maps with their copies for matrix products."""
        return torch.is_autocast_enabled(device) and all(
            takes_low(block, SwinBlock) and takes_low(block.attn, WindowAttention)
            for block in self.blocks
        )
