"""Batches of clips: stacked, normalised and mixed."""
# B batch, V views, C channels, T frames, H W size in px

from __future__ import annotations

from collections.abc import Sequence

import mmpretrain.models
import torch
from mmpretrain.models.utils.batch_augments import CutMix
from torch import Tensor

from mmswinv2.errors import RunError
from mmswinv2.registry import MODELS


@MODELS.register_module()
class VideoDataPreprocessor(mmpretrain.models.ClsDataPreprocessor):
    """mmpretrain's preprocessor of classifiers, for clips in RGB.

    Args:
        mean (Sequence[float]): Of each channel, in RGB.
        std (Sequence[float]): Of each channel, in RGB.
        num_classes (int, optional): Needed where clips of a batch are mixed.
        batch_augments (dict, optional): The ``train_cfg`` of the classifier, such as
            ``dict(augments=[dict(type="Mixup", alpha=0.8)], probs=[0.5])``.

    Raises:
        ValueError: If CutMix or ResizeMix is among these.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        num_classes: int | None = None,
        batch_augments: dict | None = None,
    ) -> None:
        super().__init__(
            mean, std, num_classes=num_classes, batch_augments=batch_augments
        )
        self.mean: Tensor = self.mean[..., None]  # (C, 1, 1, 1)
        self.std: Tensor = self.std[..., None]
        for augment in getattr(self.batch_augments, "augments", ()):
            if isinstance(augment, CutMix):
                raise ValueError(
                    f"train_cfg.augments has {type(augment).__name__}, which pastes "
                    "boxes of pictures and would take the frames of a clip for rows; "
                    "take Mixup"
                )

    def forward(self, data: dict, training: bool = False) -> dict:
        """The batch of a data loader as the classifier takes it.

        Args:
            data (dict): ``inputs``, clips of 8 bits ``(C, T, H, W)``, or ``(V, C, T, H,
                W)`` with views, in a list or stacked; ``data_samples``.
            training (bool): Whether to mix. Defaults to False.

        Returns:
            dict: ``inputs``, ``(B, C, T, H, W)`` or ``(B, V, C, T, H, W)``, and
            ``data_samples``.

        Raises:
            RunError: If clips of a batch differ in shape.
        """
        inputs = data["inputs"]
        if not isinstance(inputs, Tensor):
            shapes = {tuple(clip.shape) for clip in inputs}
            if len(shapes) > 1:
                raise RunError(
                    f"clips of a batch have the shapes {sorted(shapes)}, but must be "
                    "alike: let the pipeline crop all to one size, or take "
                    "batch_size=1 in the data loader"
                )
            inputs = torch.stack(self.cast_data([*inputs]))
        return super().forward({**data, "inputs": inputs}, training)
