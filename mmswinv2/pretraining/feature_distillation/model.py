"""Feature Distillation as a model to train: student, projection, teacher and loss."""
# B batch, H W size in px, D channels of the teacher, h w map in tokens

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmswinv2.registry import MODELS

from .targets import fit_grid, how_it_fits, whiten


@MODELS.register_module()
class FeatureDistillation(BaseSelfSupervisor):
    """`Feature Distillation <https://arxiv.org/abs/2205.14141>`_ of any teacher.

    Student and teacher see the same picture. The student's last map, after its norm,
    goes through a 1 x 1 convolution and is compared with the teacher's, after the
    teacher's own norm, resized to the student's grid where that is another, and
    whitened. There are no labels and no masks.

    The teacher is no part of the model: it is in no checkpoint, no optimizer and no
    average of weights, and no strategy shards or wraps it. It runs in the student's
    precision, without dropped paths.

    Args:
        backbone (dict): The student, such as :class:`SwinTransformerV2` with
            ``out_indices=(3,)``.
        neck (dict): A :class:`FeatureProjection`, whose ``out_channels`` are those of
            the teacher.
        teacher (dict | Module): Of :mod:`mmswinv2.pretraining.teachers`.
        beta (float): Difference up to which the loss is quadratic. Defaults to 2, as in
            the official code.
        data_preprocessor (dict, optional): mmpretrain's ``SelfSupDataPreprocessor``,
            with the mean and deviation of ImageNet that teachers are fed with.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        teacher: dict | nn.Module,
        beta: float = 2.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if isinstance(teacher, dict):
            teacher = MODELS.build(teacher)
        self._check_beta(beta)
        super().__init__(
            backbone,
            neck={**neck, "out_channels": teacher.channels},
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.beta = beta
        self._outside = _Outside(teacher.eval().requires_grad_(False))
        self._told = False

    @property
    def teacher(self) -> nn.Module:
        """The frozen teacher."""
        return self._outside.module

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict:
        """The mean over all tokens and channels, in fp32.

        Args:
            inputs (Tensor): Pictures ``(B, 3, H, W)``.
            data_samples (list[DataSample]): Not looked at.
        """
        # First, as long as the student keeps nothing for its backward pass.
        target = self._see(inputs)
        predicted = self.neck(self.backbone(inputs)[-1])
        grid = predicted.shape[2:]
        if not self._told:
            self._told = True
            text = how_it_fits(target.shape[2:], grid, inputs.shape[2:])
            print_log(f"Feature Distillation: {text}", "current")
        with torch.autocast(inputs.device.type, enabled=False):
            target = whiten(fit_grid(target.float(), grid))
            loss = F.smooth_l1_loss(predicted.float(), target, beta=self.beta)
        return dict(loss=loss)

    @torch.no_grad()
    def _see(self, inputs: Tensor) -> Tensor:
        """What the teacher gives for pictures, ``(B, D, h, w)``."""
        teacher = self.teacher
        if next(teacher.parameters()).device != inputs.device:
            teacher.to(inputs.device)
        dtype = getattr(self.backbone, "autocast_dtype", None)
        if dtype is None:
            return teacher.features(inputs)
        with torch.autocast(inputs.device.type, dtype):
            return teacher.features(inputs)

    @staticmethod
    def _check_beta(beta: float) -> None:
        if not beta > 0:
            raise ValueError(f"beta={beta}: expected a number above 0, 2 as published")


class _Outside:
    """Keeps a module out of the one that uses it, and the same for all its copies."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __deepcopy__(self, memo: dict) -> _Outside:
        return self
