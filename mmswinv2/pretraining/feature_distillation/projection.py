"""From the student's features to the width of the teacher's."""
# B batch, C channels of the student, D of the teacher, h w map in tokens

from __future__ import annotations

from torch import Tensor, nn

from mmswinv2.registry import MODELS


@MODELS.register_module()
class FeatureProjection(nn.Module):
    """A 1 x 1 convolution, of the official code's name, shape and initialisation.

    Args:
        in_channels (int): Channels of the student's map, C.
        out_channels (int): Of the teacher's, D; :class:`FeatureDistillation` knows it.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.Conv1d(in_channels, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """A map ``(B, C, h, w)`` -> ``(B, D, h, w)``."""
        return self.decoder(x.flatten(2)).unflatten(2, x.shape[2:])
