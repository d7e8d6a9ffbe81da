"""What a data preprocessor does to a picture, as a part of an exported network."""
# H W a picture in px

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SWAPS = ("bgr_to_rgb", "rgb_to_bgr", "to_rgb")  # names of one thing in three hosts


class Preparation(nn.Module):
    """Normalises and pads one picture, as the data preprocessor of a config.

    Args:
        cfg (Mapping): ``data_preprocessor`` of a config of MMDetection, MMSegmentation
            or mmpretrain, whose pictures are read in OpenCV's order BGR.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, cfg: Mapping) -> None:
        super().__init__()
        self.swaps = not any(cfg.get(name) for name in SWAPS)
        test = cfg.get("test_cfg") or {}  # MMSegmentation's
        self.divisor = test.get("size_divisor") or cfg.get("pad_size_divisor") or 1
        self.least = tuple(test.get("size") or ())  # px
        self.value = cfg.get("pad_val", cfg.get("pad_value", 0))
        self.normalises = cfg.get("mean") is not None
        for name, default in (("mean", 0.0), ("std", 1.0)):
            values = torch.tensor(cfg[name] if self.normalises else [default] * 3)
            if len(values) != 3:
                raise ValueError(
                    f"model.data_preprocessor.{name} has {len(values)} numbers; only "
                    "models of pictures with 3 channels can be exported"
                )
            self.register_buffer(name, values.float().view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """RGB ``(H, W, 3)`` of 8 bits -> ``(1, 3, H', W')`` as the network takes it."""
        image = image.flip(-1) if self.swaps else image
        x = image.permute(2, 0, 1).float()
        if self.normalises:
            x = (x - self.mean) / self.std
        pads = [self._pad(axis, x.shape[axis + 1]) for axis in (1, 0)]
        if self.least or self.divisor > 1:
            x = F.pad(x, (0, pads[0], 0, pads[1]), value=self.value)
        return x[None]

    def _pad(self, axis: int, length: int) -> int:
        """Padding at the end of an axis, in px."""
        if self.least:
            return max(self.least[axis] - length, 0)
        return -length % self.divisor

    def colour(self) -> list[int]:
        """RGB of 8 bits that is next to zero after it, to fill a picture up with."""
        mean = self.mean.flatten().round().int().tolist()
        return mean[::-1] if self.swaps else mean

    def describe(self) -> dict:
        """For readers of the file."""
        return dict(
            order="BGR" if self.swaps else "RGB",
            mean=self.mean.flatten().tolist(),
            std=self.std.flatten().tolist(),
            padding=dict(
                divisor=self.divisor, least=self.least or None, value=self.value
            ),
        )
