"""What a change of window did to the position bias of a loaded backbone."""
# h w window size (of videos t h w), n heads

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmswinv2.checkpoints.position_biases import TABLE
from mmswinv2.ops.geometric_table import carry_table

from .swin_transformer_v2 import SwinTransformerV2
from .window_fit import Window


@dataclass
class StageTransfer:
    """Position bias of a stage before and after the change of window.

    Attributes:
        before (tuple[int, ...]): Window that the weights came with, in tokens.
        after (tuple[int, ...]): Configured window.
        normaliser (tuple[int, ...]): Window that is the unit of the coordinates; the
            window of a table.
        bias_before (Tensor): Bias of the last block, ``(n, 2h - 1, 2w - 1)`` of before;
            of videos ``(n, 2t - 1, 2h - 1, 2w - 1)``.
        bias_after (Tensor): Likewise, of after.
        max_change (float): Largest change of the bias of any block at the offsets that
            both windows have; 0 where the normaliser is that of the weights, but not
            for a table, which a larger window stretches.
    """

    before: Window
    after: Window
    normaliser: Window
    bias_before: Tensor
    bias_after: Tensor
    max_change: float

    @property
    def bias_maps(self) -> tuple[Tensor, Tensor]:
        """Both biases by offset in space, ``(n, 2h - 1, 2w - 1)``, at one time."""
        return _at_one_time(self.bias_before), _at_one_time(self.bias_after)


@torch.no_grad()
def stage_transfers(
    backbone: SwinTransformerV2, before: Sequence[Window] | None = None
) -> list[StageTransfer]:
    """Compare the bias of every stage with that at other windows.

    Args:
        backbone (SwinTransformerV2): A backbone.
        before (Sequence[tuple[int, ...]], optional): Windows to compare with, one per
            stage. Defaults to None: those that the checkpoint came with, if it told.

    Returns:
        list[StageTransfer]: One per stage.
    """
    now = list(zip(backbone.window_size, backbone.pretrained_window_size))
    then, tables = now, {}
    if before is not None:
        then = [*zip(before, backbone.pretrained_window_size)]
    elif backbone.loaded:
        then, tables = backbone.loaded.windows or now, backbone.loaded.tables
    transfers = []
    for i, (stage, old, new) in enumerate(zip(backbone.layers, then, now)):
        change = 0.0
        for j, block in enumerate(stage.blocks):
            bias_after = block.attn.compute_position_bias(*new)
            name = f"layers.{i}.blocks.{j}.attn.{TABLE}"
            if name in tables:
                bias_before = carry_table(tables[name].to(bias_after), old[0])
            elif backbone.position_bias == "table":
                bias_before = block.attn.compute_position_bias(old[0], new[1])
            else:
                bias_before = block.attn.compute_position_bias(*old)
            shared = _shared(bias_after, bias_before) - _shared(bias_before, bias_after)
            change = max(change, shared.abs().max().item())
        transfers.append(StageTransfer(old[0], *new, bias_before, bias_after, change))
    return transfers


def _at_one_time(bias: Tensor) -> Tensor:
    return bias if bias.dim() == 3 else bias[:, bias.shape[1] // 2]


def _shared(bias: Tensor, other: Tensor) -> Tensor:
    """The middle of a bias table: the offsets that another table has as well."""
    for axis in range(1, bias.dim()):
        surplus = max(bias.shape[axis] - other.shape[axis], 0)
        bias = bias.narrow(axis, surplus // 2, bias.shape[axis] - surplus)
    return bias
