"""Feature Distillation as a model to train: student, projection, teacher and loss."""
# B batch, H W size in px, D channels of the teacher, h w map in tokens

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmswinv2.pretraining.teachers import Teacher
from mmswinv2.pretraining.teachers.base import MEAN, STD
from mmswinv2.pretraining.token_labeling import sample_maps
from mmswinv2.pretraining.token_labeling.samples import stack_field, stack_geometry
from mmswinv2.registry import MODELS

from .load import NAME, open_store
from .sight import Sight
from .targets import fit_grid, grid_reach, how_it_fits, whiten


@MODELS.register_module()
class FeatureDistillation(BaseSelfSupervisor):
    """`Feature Distillation <https://arxiv.org/abs/2205.14141>`_ from any teacher.

    Student and teacher see the same picture. The student's last map, after its norm,
    goes through a 1 x 1 convolution and is compared with the teacher's, after the
    teacher's own norm, brought to the student's grid where that is another, and
    whitened. There are no labels and no masks.

    The teacher is no part of the model: it is in no checkpoint, no optimizer and no
    average of weights, and no strategy shards or wraps it. It runs in the student's
    precision, without dropped paths.

    Args:
        backbone (dict): The student, a :class:`SwinTransformerV2` with
            ``out_indices=(3,)``.
        neck (dict): A :class:`FeatureProjection`, without its ``out_channels``, which
            are those of the teacher.
        teacher (dict | Teacher, optional): Of :mod:`mmswinv2.pretraining.teachers`.
            Defaults to None, for a ``store``.
        store (str, optional): Folder of features of whole pictures, which
            :class:`LoadTeacherFeatures` loads: then no teacher is built, and crops have
            what their part of the picture has, seen as a part of it. Defaults to None.
        beta (float): Difference up to which the loss is quadratic. Defaults to 2, as in
            the official code.
        data_preprocessor (dict, optional): mmpretrain's ``SelfSupDataPreprocessor``, to
            RGB, by the mean and deviation of ImageNet, as teachers take pictures.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: If ``beta`` is not above 0, there is neither teacher nor store, the
            store is of another teacher, or pictures are not normalised as teachers
            take them.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        teacher: Any = None,
        store: str | None = None,
        beta: float = 2.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if not beta > 0:
            raise ValueError(f"beta={beta}: expected a number above 0, 2 as published")
        if store is not None:
            spec = open_store(store, teacher)
            channels, teacher = spec.channels, None
        elif teacher is None:
            raise ValueError(
                "model.teacher is missing: give one, or model.store, a folder of its "
                "features"
            )
        else:
            built: Any = teacher
            if not isinstance(teacher, nn.Module):
                built = MODELS.build(teacher)
            teacher, channels = built, built.channels
        super().__init__(
            backbone,
            neck={**neck, "out_channels": channels},
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        _check_normalisation(self.data_preprocessor)
        self.beta = beta
        self._sight = None if teacher is None else Sight(teacher)
        self._told = False

    @property
    def teacher(self) -> Teacher | None:
        """The frozen teacher, which no method of modules reaches."""
        return self._sight.teacher if self._sight else None

    def loss(self, inputs: Tensor, data_samples: Sequence[DataSample]) -> dict:
        """The mean over all tokens and channels, in fp32.

        Args:
            inputs (Tensor): Pictures ``(B, 3, H, W)``.
            data_samples (Sequence[DataSample]): With stored features, or not looked
                at.
        """
        size = (inputs.shape[2], inputs.shape[3])
        if self._sight is not None:
            # First, while the student keeps nothing for its backward pass
            dtype = getattr(self.backbone, "autocast_dtype", None)
            seen = self._sight(inputs, dtype)
        else:
            seen = stack_field(data_samples, NAME, inputs.device)
        predicted = self.neck(self.backbone(inputs)[-1])
        grid = (predicted.shape[2], predicted.shape[3])
        self._tell((seen.shape[2], seen.shape[3]), grid, size)
        with torch.autocast(inputs.device.type, enabled=False):
            target, shown = self._target(seen, data_samples, grid, size)
            losses = F.smooth_l1_loss(
                predicted.float(), target, beta=self.beta, reduction="none"
            ).mean(1)
        if shown is None:
            return dict(loss=losses.mean())
        return dict(loss=(losses * shown).sum() / shown.sum().clamp(min=1))

    def _target(
        self,
        seen: Tensor,
        data_samples: Sequence[DataSample],
        grid: tuple[int, int],
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor | None]:
        """What tokens learn, ``(B, D, *grid)``, and which of them do, if not all.

        A stored map has nothing for a token that shows nothing of its picture.
        """
        if self._sight is not None:
            return whiten(fit_grid(seen.float(), grid, size)), None
        geometry = stack_geometry(data_samples, seen.device)
        reach = geometry.new_tensor(grid_reach(grid, size)[::-1])
        target, shown = sample_maps(seen, geometry, grid, reach.expand(len(seen), 2))
        return whiten(target), shown

    def _tell(self, given: tuple, grid: tuple, size: tuple) -> None:
        """Once in a run, what is compared with what."""
        if self._told:
            return
        self._told = True
        if self._sight is None:
            text = (
                f"stored features, {given[0]} x {given[1]} for a whole picture, are "
                f"sampled where the student's {grid[0]} x {grid[1]} tokens lie in it, "
                "then whitened"
            )
        else:
            identity = self._sight.teacher.identity
            name = f"{identity['name']} (weights {identity['weights'][:12]})"
            text = how_it_fits(given, grid, size, name)
        print_log(f"Feature Distillation: {text}", "current")

    def check_pictures(self, size: Sequence[int]) -> None:
        """Raise where the teacher's features of such pictures cannot be learnt.

        Args:
            size (Sequence[int]): Height and width in px.

        Raises:
            ValueError: If it gives no map for them, or not only finite numbers.
        """
        if self._sight is None:
            return
        device = next(self.parameters()).device
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, 3, *size, generator=generator).to(device)
        if not self._sight(noise).isfinite().all():
            name = self._sight.teacher.identity["name"]
            raise ValueError(
                f"the teacher {name} gives features that are "
                "not finite; its weights are damaged, or of another model"
            )


def _check_normalisation(preprocessor: BaseDataPreprocessor) -> None:
    given = [
        getattr(preprocessor, name, torch.empty(0)).flatten()
        for name in ("mean", "std")
    ]
    expected = [torch.tensor(values) for values in (MEAN, STD)]
    rgb = getattr(preprocessor, "_channel_conversion", False)
    alike = all(
        one.shape == other.shape and (one.is_meta or torch.allclose(one.float(), other))
        for one, other in zip(given, expected)
    )
    if not (alike and rgb):
        raise ValueError(
            f"model.data_preprocessor gives pictures with mean "
            f"{given[0].tolist()}, deviation {given[1].tolist()} and to_rgb={rgb}, but "
            f"teachers take them with mean={[*MEAN]}, std={[*STD]} and to_rgb=True"
        )
