"""Token Labeling: a classifier that learns the labels of its tokens, too."""
# B pictures, C channels, h w grid of tokens of stage 3, K classes

from __future__ import annotations

from functools import partial
from typing import Any

import mmpretrain.models
import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from mmswinv2.pretraining.map_store import LOGITS
from mmswinv2.registry import MODELS

from .mix_token import STRIDE, draw_box, grid_of, mix
from .samples import grid_reach, stack_field, stack_geometry
from .targets import Targets, make_targets

FIELDS = ("token_label_values", "token_label_ids")


@MODELS.register_module()
class TokenLabelingClassifier(mmpretrain.models.ImageClassifier):
    """`Token Labeling <https://arxiv.org/abs/2104.10858>`_ on Swin V2.

    Each token of the last stage learns the label that a teacher has for its place, and
    the mean token that of the picture. MixToken (section 3.3 of the paper) mixes
    pictures in pairs, the first with the last of a batch and so on: within a box, drawn
    on the grid of the last stage, tokens after the patch embedding are the other
    picture's, and outputs are put back afterwards. Unlike in the global attention of
    the paper, tokens of the two pictures meet only in windows that the border of the
    box crosses, which then mix content of both; the others see one picture alone.

    Labels are made from maps on the device of the model. A sample has
    ``token_label_values``, ``token_label_ids`` and ``geometry``, and may have
    ``token_label_kind``: see :class:`LoadTokenLabels` and :func:`make_targets`.
    Predictions are those of any classifier.

    Args:
        backbone (dict): A ``mmswinv2.SwinTransformerV2``.
        head (dict): A ``mmswinv2.TokenLabelingHead``.
        mix_token (float): Share of batches that are mixed. Defaults to 1.0, as
            published; 0 mixes none.
        class_target (str): What the mean token learns: 'map', the mean of the map over
            what the picture shows of it, as in the authors' code, or 'label', that of
            the picture's folder. Defaults to 'map'.
        **kwargs (Any): Of mmpretrain's ``ImageClassifier``.

    Raises:
        ValueError: If an argument is out of range, or Mixup, CutMix or another mix of
            batches is on as well.
    """

    def __init__(
        self,
        backbone: dict,
        *,
        head: dict,
        mix_token: float = 1.0,
        class_target: str = "map",
        **kwargs: Any,
    ) -> None:
        if not 0 <= mix_token <= 1:
            raise ValueError(
                f"mix_token={mix_token}: expected a share of batches, 0 to 1"
            )
        if class_target not in ("map", "label"):
            raise ValueError(
                f"class_target={class_target!r}: expected 'map' or 'label'"
            )
        super().__init__(backbone, head=head, **kwargs)
        augments = getattr(self.data_preprocessor, "batch_augments", None)
        if augments is not None:
            names = ", ".join(type(augment).__name__ for augment in augments.augments)
            raise ValueError(
                f"{names} would mix pictures without their label maps; leave "
                "model.train_cfg and batch_augments out: Token Labeling mixes itself "
                "(model.mix_token)"
            )
        self.mix_token, self.class_target = mix_token, class_target

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs (Tensor): ``(B, 3, height, width)``.
            data_samples (list[DataSample]): With label maps.

        Returns:
            dict[str, Tensor]: As of :class:`TokenLabelingHead`.
        """
        size = grid_of(inputs)
        mixed = self._draw(size, inputs.device)
        change = None if mixed is None else partial(mix, inside=mixed)
        # through its forward pass, where strategies set its precision
        feats = self.backbone(inputs, change)
        with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
            targets = self._targets(inputs, data_samples, size)
        return self.head.loss(feats, targets, mixed)

    @torch.compiler.disable  # which would draw other numbers
    def _draw(self, size: tuple[int, int], device: torch.device) -> Tensor | None:
        """Where a batch is mixed, ``(h, w)``, if it is."""
        if np.random.rand() >= self.mix_token:
            return None
        return torch.from_numpy(draw_box(size)).to(device)

    def _targets(
        self, inputs: Tensor, samples: list[DataSample], size: tuple[int, int]
    ) -> Targets:
        values, ids = (stack_field(samples, name, inputs.device) for name in FIELDS)
        reach = grid_reach(samples, (inputs.shape[2], inputs.shape[3]), size, STRIDE)
        targets = make_targets(
            values,
            ids,
            stack_geometry(samples, inputs.device),
            size,
            num_classes=self.head.num_classes,
            kind=samples[0].get("token_label_kind", LOGITS),
            reach=reach.to(inputs.device),
        )
        if self.class_target == "map":
            return targets
        labels = torch.cat([sample.gt_label for sample in samples]).to(inputs.device)
        labels = F.one_hot(labels, self.head.num_classes).float()
        return targets._replace(picture=labels)
