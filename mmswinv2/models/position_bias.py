"""Log-spaced continuous position bias (Log-CPB), Swin V2 section 3.3."""
# h w window size, n heads

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmswinv2.ops.log_coords import log_spaced_coords

HIDDEN_DIMS = 512  # of the meta network, as in every published weight
BIAS_RANGE = 16  # the bias is 16 * sigmoid(.), within (0, 16); official code


class LogCPB(nn.Sequential):
    """Meta network from log-spaced offsets to the position bias of every head.

    Two linear layers (weights ``0.*`` and ``2.weight``, the official names). The bias
    is always computed in fp32. In eval mode it is kept until weights, mode, device or
    window change.

    Args:
        num_heads (int): Number of attention heads.
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__(
            nn.Linear(2, HIDDEN_DIMS),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_DIMS, num_heads, bias=False),
        )
        self._cache: tuple[tuple, Tensor] | None = None

    def forward(
        self, window: tuple[int, int], pretrained_window: tuple[int, int]
    ) -> Tensor:
        """Bias table ``(n, 2 * h - 1, 2 * w - 1)``, fp32; its centre is offset 0."""
        if self.training:
            return self.table(window, pretrained_window)
        versions = tuple(
            0 if p.is_inference() else p._version for p in self.parameters()
        )
        key = (window, pretrained_window, versions)
        if self._cache is None or self._cache[0] != key:
            table = self.table(window, pretrained_window)
            if table.requires_grad:
                return table
            self._cache = (key, table)
        return self._cache[1]

    def table(
        self, window: tuple[int, int], pretrained_window: tuple[int, int]
    ) -> Tensor:
        """As :meth:`forward`, always computed."""
        hidden, _, out = self
        coords = log_spaced_coords(window, pretrained_window, hidden.weight.device)
        with torch.autocast(coords.device.type, enabled=False):
            x = F.linear(coords, hidden.weight.float(), hidden.bias.float()).relu_()
            x = F.linear(x, out.weight.float())
            return BIAS_RANGE * x.sigmoid().permute(2, 0, 1)

    def train(self, mode: bool = True) -> "LogCPB":
        """Set the mode and forget the kept bias."""
        self._cache = None  # EMA swaps weights unseen by their version counters
        return super().train(mode)

    def _apply(self, *args: object, **kwargs: object) -> "LogCPB":
        self._cache = None
        return super()._apply(*args, **kwargs)
