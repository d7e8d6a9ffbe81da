"""Global self-attention on the last map of a backbone, as HTC++ has it."""
# B batch, H W map in tokens, C channels

import sys
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmswinv2.registry import MODELS

from .blocks import SwinStage
from .window_fit import parse_windows


@MODELS.register_module()
class GlobalAttention(BaseModule):
    """A Swin V2 block whose window is the whole last map; other maps pass through.

    Swin V1's HTC++ appends a global self-attention layer to the last stage (its paper,
    appendix A2.2) without publishing its code. Ours is the block of the backbone with
    its continuous position bias, so that it takes maps of any size. It starts as the
    identity: what the pre-trained backbone gives reaches the heads unchanged.

    Attention over N = H * W tokens has N * N weights per head: 2304 * 2304 for an image
    of 1536 px.

    Args:
        in_channels (int): Channels C of the last map.
        num_heads (int): Number of heads, 32 channels each in Swin V2.
        pretrained_window_size (int | Sequence): Map (h, w) in tokens that is the unit
            of the position bias' coordinates. Defaults to 48, a map of 1536 px.
        mlp_ratio (float): Hidden channels of the MLP over C. Defaults to 4.
        with_cp (bool): Recompute the block in the backward pass. Defaults to False.
        attention (str): As in :class:`SwinTransformerV2`. Defaults to 'auto'.
        init_cfg (dict, optional): Defaults to None.

    Examples:
        >>> neck = [
        ...     dict(type="mmswinv2.GlobalAttention", in_channels=1024, num_heads=32),
        ...     dict(type="FPN", in_channels=[128, 256, 512, 1024], out_channels=256),
        ... ]
    """

    def __init__(
        self,
        in_channels: int,
        num_heads: int,
        *,
        pretrained_window_size: int | Sequence = 48,
        mlp_ratio: float = 4.0,
        with_cp: bool = False,
        attention: str = "auto",
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.stage = SwinStage(
            in_channels,
            num_heads=num_heads,
            drop_path_rates=[0.0],
            downsample=False,
            window=(sys.maxsize, sys.maxsize),  # shrunk to the map, whatever its size
            pretrained_window=parse_windows(
                pretrained_window_size, 1, name="pretrained_window_size"
            )[0],
            window_fit="shrink",
            with_cp=with_cp,
            extra_norm_every_n_blocks=0,
            position_bias="log_cpb",
            mlp_ratio=mlp_ratio,
            drop_rate=0.0,
            implementation=attention,
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.zeros_(module.weight)

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps ``(B, C_i, H_i, W_i)`` -> the same; the last one attended to."""
        *others, last = inputs
        x = self.stage(last.permute(0, 2, 3, 1))
        return (*others, x.permute(0, 3, 1, 2).contiguous())
