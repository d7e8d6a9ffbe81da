"""The loss of SimMIM, on pixels or on pixels normalised by their surroundings."""
# B batch, H W size in px, h w in tokens

from __future__ import annotations

import mmpretrain.models
from torch import Tensor

from mmswinv2.models.blocks import PATCH_SIZE
from mmswinv2.registry import MODELS

from .norm_target import local_statistics


@MODELS.register_module()
class SimMIMHead(mmpretrain.models.SimMIMHead):
    """Compares masked pixels with their reconstruction.

    The mean absolute difference over masked pixels and colours (SimMIM, section 3.4;
    arXiv 2111.09886).

    Args:
        norm_target_size (int, optional): Side in px of the window in which targets are
            normalised, odd; 47 in the official configs of Swin V2. Defaults to None:
            pixels as the model sees them.
        loss (dict, optional): Defaults to mmpretrain's ``PixelReconstructionLoss`` by
            absolute differences.

    Raises:
        ValueError: If the size is no odd number above 1.
    """

    def __init__(
        self, norm_target_size: int | None = None, loss: dict | None = None
    ) -> None:
        if norm_target_size is not None and (
            norm_target_size < 3 or norm_target_size % 2 == 0
        ):
            raise ValueError(
                f"norm_target_size={norm_target_size}: expected an odd number of px "
                "from 3 on, such as 47, or None"
            )
        super().__init__(
            PATCH_SIZE,
            loss
            or dict(
                type="mmpretrain.PixelReconstructionLoss", criterion="L1", channel=3
            ),
        )
        self.norm_target_size = norm_target_size

    def loss(self, pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            pred (Tensor): What the decoder gives, ``(B, 3, H, W)``.
            target (Tensor): The images, as the backbone got them.
            mask (Tensor): ``(B, h, w)``, 1 where a token was masked.
        """
        pred, target = pred.float(), target.float()  # whatever autocast made of them
        if self.norm_target_size is not None:
            mean, deviation = local_statistics(target, self.norm_target_size)
            target = (target - mean) / deviation
        return super().loss(pred, target, mask)

    def reconstruct(self, pred: Tensor, target: Tensor) -> Tensor:
        """Images that a prediction stands for, in the units of ``target``.

        Args:
            pred (Tensor): As of :meth:`loss`.
            target (Tensor): Likewise; a normalised prediction needs its means.
        """
        if self.norm_target_size is None:
            return pred.float()
        mean, deviation = local_statistics(target, self.norm_target_size)
        return pred.float() * deviation + mean
