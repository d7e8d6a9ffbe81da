"""Position biases of window attention (Swin V2, section 3.3), three behind one name.

'log_cpb': a meta network of log-spaced coordinates, Swin V2's own. 'linear_cpb': the
same network of linear coordinates. 'table': one learned value per offset, as in Swin
V1, carried to other windows by interpolation.
"""
# h w window size, n heads

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmswinv2.ops.geometric_table import carry_table, table_to_map
from mmswinv2.ops.log_coords import linear_coords, log_spaced_coords

POSITION_BIASES = ("log_cpb", "linear_cpb", "table")
HIDDEN_DIMS = 512  # of the meta network, as in every published weight
BIAS_RANGE = 16  # the bias is 16 * sigmoid(.), within (0, 16); official code


class LogCPB(nn.Sequential):
    """Meta network from log-spaced offsets to the position bias of every head.

    Two linear layers (weights ``0.*`` and ``2.weight``, the official names). The bias
    is always computed in fp32.

    Args:
        num_heads (int): Number of attention heads.
    """

    coords = staticmethod(log_spaced_coords)

    def __init__(self, num_heads: int) -> None:
        super().__init__(
            nn.Linear(2, HIDDEN_DIMS),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_DIMS, num_heads, bias=False),
        )

    def forward(
        self, window: tuple[int, int], pretrained_window: tuple[int, int]
    ) -> Tensor:
        """Bias table ``(n, 2 * h - 1, 2 * w - 1)``, fp32; its centre is offset 0."""
        hidden, _, out = self
        coords = self.coords(window, pretrained_window, hidden.weight.device)
        with torch.autocast(coords.device.type, enabled=False):
            x = F.linear(coords, hidden.weight.float(), hidden.bias.float()).relu_()
            x = F.linear(x, out.weight.float())
            return BIAS_RANGE * x.sigmoid().permute(2, 0, 1)


class LinearCPB(LogCPB):
    """As :class:`LogCPB`, with linear coordinates (equation 3)."""

    coords = staticmethod(linear_coords)


class PositionBias(nn.Module):
    """What an attention module knows of positions, by the names of published weights.

    It holds ``cpb_mlp`` (Swin V2) or ``relative_position_bias_table`` (Swin V1). In
    eval mode the bias is kept until weights, mode, device or window change, unless the
    model is compiled or exported.

    A table has the window that it was made with, ``pretrained_window``, for good:
    another window at run time, be it larger, rectangular or shrunk to a small map, uses
    :func:`carry_table` of it, and training there trains the same parameter. So
    optimizers, averages and checkpoints see one shape however often the window changes.

    Args:
        kind (str): 'log_cpb', 'linear_cpb' or 'table'.
        num_heads (int): Number of attention heads.
        pretrained_window (tuple[int, int]): Window of a table, in tokens.

    Raises:
        ValueError: If ``kind`` is unknown.
    """

    def __init__(
        self, kind: str, *, num_heads: int, pretrained_window: tuple[int, int]
    ) -> None:
        super().__init__()
        if kind not in POSITION_BIASES:
            raise ValueError(
                f"position_bias={kind!r} is unknown; choose one of "
                f"{', '.join(map(repr, POSITION_BIASES))}"
            )
        self._kept: tuple[tuple, Tensor] | None = None
        if kind == "table":
            h, w = pretrained_window
            table = torch.zeros((2 * h - 1) * (2 * w - 1), num_heads)
            self.relative_position_bias_table = nn.Parameter(table)
        else:
            self.cpb_mlp = {"log_cpb": LogCPB, "linear_cpb": LinearCPB}[kind](num_heads)

    def position_bias(
        self, window: tuple[int, int], pretrained_window: tuple[int, int]
    ) -> Tensor:
        """Bias of every relative offset in a window.

        Args:
            window (tuple[int, int]): Window in tokens.
            pretrained_window (tuple[int, int]): Unit of the coordinates; for a table,
                the window that it was made with.

        Returns:
            Tensor: ``(n, 2 * h - 1, 2 * w - 1)``, fp32; its centre is offset 0.
        """
        if self.training or torch.compiler.is_compiling():
            return self.compute_position_bias(window, pretrained_window)
        versions = tuple(
            0 if p.is_inference() else p._version for p in self._bias_parameters()
        )
        # A bias that was kept without gradients must not serve where they are wanted.
        with_grad = torch.is_grad_enabled()
        key = (window, pretrained_window, versions, with_grad)
        if self._kept is None or self._kept[0] != key:
            bias = self.compute_position_bias(window, pretrained_window)
            if with_grad and bias.requires_grad:
                return bias
            self._kept = (key, bias.detach())
        return self._kept[1]

    def compute_position_bias(
        self, window: tuple[int, int], pretrained_window: tuple[int, int]
    ) -> Tensor:
        """As :meth:`position_bias`, always computed."""
        if hasattr(self, "cpb_mlp"):
            return self.cpb_mlp(window, pretrained_window)
        table = self.relative_position_bias_table
        return carry_table(table_to_map(table, pretrained_window), window)

    def _bias_parameters(self) -> list[nn.Parameter]:
        if hasattr(self, "cpb_mlp"):
            return [*self.cpb_mlp.parameters()]
        return [self.relative_position_bias_table]

    def train(self, mode: bool = True) -> "PositionBias":
        """Set the mode and forget the kept bias."""
        self._kept = None  # EMA swaps weights unseen by their version counters
        return super().train(mode)

    def _apply(self, *args: object, **kwargs: object) -> "PositionBias":
        self._kept = None
        return super()._apply(*args, **kwargs)
