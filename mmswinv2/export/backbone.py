"""The Swin V2 backbone of plain operators, its position biases baked."""
# B batch, H W map in tokens, T = H * W, C channels, n heads, window (h, w), N = h * w

from __future__ import annotations

import operator
import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmswinv2.models.attention import WindowAttention
from mmswinv2.models.blocks import PatchEmbed, PatchMerging, SwinBlock, SwinStage
from mmswinv2.models.global_attention import GlobalAttention
from mmswinv2.models.module_lists import ModuleList
from mmswinv2.models.position_bias import LogCPB
from mmswinv2.models.swin_transformer_v2 import SwinTransformerV2
from mmswinv2.models.window_fit import Window, fit_axis
from mmswinv2.ops.geometric_table import carry_table
from mmswinv2.ops.window_attention.gathered import (
    Layout,
    axis,
    gathered_window_attention,
    layout,
    number,
)
from mmswinv2.ops.window_attention.reference import relative_position_index


class PortableBackbone(nn.Module):
    """:class:`SwinTransformerV2`, tokens in one row.

    Args:
        backbone (SwinTransformerV2): Its submodules are taken over.
        dynamic (bool): Whether image sizes may be symbols.
    """

    def __init__(self, backbone: SwinTransformerV2, *, dynamic: bool) -> None:
        super().__init__()
        if len(backbone.patch_size) != 2:
            raise ValueError(
                f"a {type(backbone).__name__}, which takes clips, cannot be exported; "
                "backbones of images can"
            )
        self.out_indices = backbone.out_indices
        self.patch_embed = backbone.patch_embed
        self.stages = ModuleList(
            PortableStage(stage, dynamic=dynamic) for stage in backbone.layers
        )
        self.norms = nn.ModuleDict(
            {str(i): backbone.get_submodule(f"norm{i}") for i in self.out_indices}
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``(B, 3, height, width)`` -> ``(B, C_i, H_i, W_i)`` of the stages."""
        x, size = embed(self.patch_embed, image)
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x, size)
            if i in self.out_indices:
                out = self.norms[str(i)](x).transpose(1, 2)
                maps.append(out.unflatten(2, size))
            if stage.merging is not None:
                x, size = stage.merging(x, size)
        return tuple(maps)


class PortableGlobalAttention(nn.Module):
    """:class:`GlobalAttention` of maps of one size."""

    def __init__(self, module: GlobalAttention, *, dynamic: bool) -> None:
        super().__init__()
        if dynamic:
            raise ValueError(
                "the window of GlobalAttention is the whole map, and its position bias "
                "changes with every size: export it at one size"
            )
        self.stage = PortableStage(module.stage, dynamic=False)

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps ``(B, C_i, H_i, W_i)`` -> the same; the last one attended to."""
        *others, last = inputs
        x = self.stage(last.flatten(2).transpose(1, 2), last.shape[2:])
        return (*others, x.transpose(1, 2).unflatten(2, last.shape[2:]))


def embed(module: PatchEmbed, image: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Tokens ``(B, T, C)`` and (H, W); without a question whether patches fit."""
    # A convolution ignores what does not fill its last patch.
    x = module.proj(
        F.pad(image, (0, module.proj.stride[1] - 1, 0, module.proj.stride[0] - 1))
    )
    return module.norm(x.flatten(2).transpose(1, 2)), x.shape[2:]


class PortableMerging(nn.Module):
    """:class:`PatchMerging` of tokens in one row."""

    def __init__(self, merging: PatchMerging) -> None:
        super().__init__()
        self.reduction = Product.of(merging.reduction)
        self.norm = merging.norm

    def forward(
        self, x: Tensor, size: tuple[int, ...]
    ) -> tuple[Tensor, tuple[int, ...]]:
        """``(B, T, C)`` -> ``(B, ceil(H/2) * ceil(W/2), 2C)``, and the size of that."""
        merged = tuple((length + 1) // 2 for length in size)
        height, width = map(number, size)
        places = [torch.arange(m)[:, None] * 2 + torch.arange(2) for m in merged]
        # (H/2, W/2, 2, 2): the order of the weights goes down before it goes right
        rows, columns = places[0][:, None, None, :], places[1][:, :, None]
        outside = (rows >= height) | (columns >= width)
        tokens = torch.where(outside, 0, rows * width + columns).flatten()
        joined = x.index_select(1, tokens)
        if not all(isinstance(length, int) and length % 2 == 0 for length in size):
            joined = torch.where(outside.flatten()[:, None], 0, joined)
        joined = joined.reshape(x.shape[0], -1, 4 * x.shape[-1])
        return self.norm(self.reduction(joined)), merged


class PortableStage(nn.Module):
    """:class:`SwinStage` without its patch merging, which it only holds."""

    def __init__(self, stage: SwinStage, *, dynamic: bool) -> None:
        super().__init__()
        self.dynamic, self.window, self.fit = dynamic, stage.window, stage.window_fit
        if dynamic and self.fit == "divide":
            raise ValueError(
                "window_fit='divide' takes another window for every size: export at "
                "one size, or with window_fit='shrink'"
            )
        self.blocks = ModuleList(
            PortableBlock(block, stage, dynamic) for block in stage.blocks
        )
        self.merging = None
        if stage.downsample is not None:
            self.merging = PortableMerging(stage.downsample)

    def forward(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        """``(B, T, C)`` -> the same."""
        window, layouts = self._layouts(size)
        index = relative_position_index(window, x.device)
        for block in self.blocks:
            x = block(x, layouts[block.shifted], index, window)
        return x

    def _layouts(self, size: tuple[int, ...]) -> tuple[Window, list[Layout]]:
        """Window, and where tokens stand in plain and in shifted windows."""
        if self.dynamic:
            window, shift = self.window, (None, None)
        else:
            fits = [
                fit_axis(length, w, shifted=True, fit=self.fit)
                for length, w in zip(size, self.window)
            ]
            window, shift = zip(*fits)
        layouts = [
            layout(*map(axis, size, window, shifts)) for shifts in ((0, 0), shift)
        ]
        return window, layouts


class PortableBlock(nn.Module):
    """:class:`SwinBlock` of tokens in one row."""

    def __init__(self, block: SwinBlock, stage: SwinStage, dynamic: bool) -> None:
        super().__init__()
        self.shifted = block.shifted
        self.attn = PortableAttention(block.attn, stage, dynamic)
        self.norm1, self.norm2, self.norm3 = block.norm1, block.norm2, block.norm3
        self.fc1, self.fc2 = Product.of(block.mlp.fc1), Product.of(block.mlp.fc2)

    def forward(
        self, x: Tensor, where: Layout, index: Tensor, window: Window
    ) -> Tensor:
        """``(B, T, C)`` -> the same; see :class:`PortableAttention`."""
        x = x + self.norm1(self.attn(x, where, index, window))
        x = x + self.norm2(self.fc2(F.gelu(self.fc1(x))))
        return self.norm3(x)


class PortableAttention(nn.Module):
    """:class:`WindowAttention` by tokens gathered into windows.

    Args:
        attention (WindowAttention): Its layers are taken over.
        stage (SwinStage): Its stage.
        dynamic (bool): Whether sizes of maps may be symbols.
    """

    scale: Tensor

    def __init__(
        self, attention: WindowAttention, stage: SwinStage, dynamic: bool
    ) -> None:
        super().__init__()
        bias = attention._qkv_bias(attention.qkv.weight)
        biases = [bias] * 3 if bias is None else bias.chunk(3)
        # Three products, as parts of the output of one would be copied.
        q, k, v = map(Product, attention.qkv.weight.chunk(3), biases)
        k.bias = None  # keys have none: it is 0
        self.q, self.k, self.v = q, k, v
        self.proj = Product.of(attention.proj)
        self.register_buffer("scale", attention._scale())
        self.bias = bias_of(attention, stage, dynamic)

    def forward(
        self, x: Tensor, where: Layout, index: Tensor, window: Window
    ) -> Tensor:
        """``(B, T, C)`` -> the same.

        Args:
            x (Tensor): Tokens of a map.
            where (Layout): Where they stand in windows.
            index (Tensor): ``(N, N)``, column of the table for every pair of a window.
            window (tuple[int, int]): In tokens.
        """
        x = x.index_select(1, where.tokens)
        out = gathered_window_attention(
            *(self.q(x), self.k(x), self.v(x)),
            self._bias(index, window),
            self.scale,
            where.mask,
        )
        return self.proj(out.index_select(1, where.places))

    def _bias(self, index: Tensor, window: Window) -> Tensor:
        """``(n, N, N)``."""
        table = self.bias(window).flatten(1)
        return table.index_select(1, index.flatten()).unflatten(1, index.shape)


def bias_of(attention: WindowAttention, stage: SwinStage, dynamic: bool) -> nn.Module:
    """What gives the bias of every offset in a window, baked where that is possible."""
    if hasattr(attention, "cpb_mlp"):
        if sys.maxsize in stage.window:  # shrunk to every map
            return NetworkBias(attention.cpb_mlp, stage.pretrained_window)
        return BakedBias(attention.position_bias(stage.window, stage.pretrained_window))
    if dynamic and any(map(operator.gt, stage.window, stage.pretrained_window)):
        raise ValueError(
            f"position_bias='table' of window {stage.pretrained_window} is stretched "
            f"to {stage.window} and, on smaller maps, to every other window: export at "
            "one size"
        )
    table = attention.position_bias(stage.pretrained_window, stage.pretrained_window)
    return BakedBias(table)


class BakedBias(nn.Module):
    """Bias of every offset in a window; smaller ones take the middle.

    Larger ones, of the table of Swin V1 alone, stretch it.

    Args:
        table (Tensor): ``(n, 2 * h - 1, 2 * w - 1)``.
    """

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.detach())

    def forward(self, window: Window) -> Tensor:
        """``(n, 2 * h - 1, 2 * w - 1)``."""
        return carry_table(self.table, window)


class NetworkBias(nn.Module):
    """Bias of every offset by the meta network."""

    def __init__(self, network: LogCPB, pretrained_window: Window) -> None:
        super().__init__()
        self.network, self.pretrained_window = network, pretrained_window

    def forward(self, window: Window) -> Tensor:
        """``(n, 2 * h - 1, 2 * w - 1)``."""
        return self.network(window, self.pretrained_window)


class Product(nn.Module):
    """A linear layer whose weight lies as ONNX's products want it.

    Args:
        weight (Tensor): ``(D, C)``.
        bias (Tensor, optional): ``(D,)``.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().T.contiguous())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @classmethod
    def of(cls, layer: nn.Linear) -> Product:
        """That of a linear layer."""
        return cls(layer.weight, layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` -> ``(B, T, D)``."""
        x = x @ self.weight
        return x if self.bias is None else x + self.bias
