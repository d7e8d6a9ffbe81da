"""Names what happens in clips, from several views of each."""
# B batch, V views, C channels, T frames, H W size in px, K classes

from __future__ import annotations

from typing import Any

import mmpretrain.models
import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmswinv2.pretraining.linear_head import LinearClsHead
from mmswinv2.registry import MODELS


@MODELS.register_module()
class VideoClassifier(mmpretrain.models.ImageClassifier):
    """mmpretrain's classifier, for clips.

    A prediction is the mean of the softmax over all views of a clip, as in Video Swin
    (arXiv 2106.13230, section 4.1).

    Args:
        *args (Any): Of ``ImageClassifier``.
        max_testing_views (int, optional): Most views that go through the model at once
            in tests, whatever the batch, which bounds their memory. Defaults to None:
            all of a batch.
        data_preprocessor (dict, optional): ``type`` defaults to
            'mmswinv2.VideoDataPreprocessor'.
        **kwargs (Any): Of ``ImageClassifier``.

    Raises:
        ValueError: If ``max_testing_views`` is no positive integer.
    """

    def __init__(
        self,
        *args: Any,
        max_testing_views: int | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        if max_testing_views is not None and (
            not isinstance(max_testing_views, int) or max_testing_views < 1
        ):
            raise ValueError(
                f"max_testing_views={max_testing_views!r}: expected a number of views "
                "from 1 on, or None for all at once"
            )
        if isinstance(data_preprocessor, dict):
            own = dict(type="mmswinv2.VideoDataPreprocessor")
            data_preprocessor = own | data_preprocessor
        super().__init__(*args, data_preprocessor=data_preprocessor, **kwargs)
        self.max_testing_views = max_testing_views

    def predict(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        **kwargs: Any,
    ) -> list[DataSample]:
        """Scores and label of each clip.

        Args:
            inputs (Tensor): ``(B, V, C, T, H, W)``, or ``(B, C, T, H, W)`` for one
                view each.
            data_samples (list[DataSample], optional): Of the clips, which get
                ``pred_score``, ``(K,)``, and ``pred_label``.
            **kwargs (Any): Of the head's ``predict``.

        Returns:
            list[DataSample]: One for each clip.
        """
        if inputs.dim() == 5:
            inputs = inputs[:, None]
        views = inputs.flatten(0, 1)
        predicted = [
            sample.pred_score
            for chunk in views.split(self.max_testing_views or len(views))
            for sample in super(VideoClassifier, self).predict(chunk, **kwargs)
        ]
        scores = torch.stack(predicted).float().unflatten(0, inputs.shape[:2]).mean(1)
        samples = data_samples or [DataSample() for _ in scores]
        for sample, score in zip(samples, scores):
            sample.set_pred_score(score).set_pred_label(score.argmax(0, keepdim=True))
        return samples


@MODELS.register_module()
class VideoClsHead(LinearClsHead):
    """The package's linear head after a dropout, as Video Swin has it.

    Args:
        num_classes (int): Number of classes, K.
        in_channels (int): Channels of the feature.
        dropout (float): Share of the feature that is dropped in training. Defaults to
            0.5.
        init_cfg (dict, optional): Defaults to a normal distribution of deviation 0.01.
        **kwargs (Any): Of mmpretrain's head, such as ``loss``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout: float = 0.5,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        init_cfg = init_cfg or dict(type="Normal", layer="Linear", std=0.01)
        super().__init__(num_classes, in_channels, init_cfg, **kwargs)
        self.dropout = nn.Dropout(dropout)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The last feature, part of it dropped in training."""
        return self.dropout(super().pre_logits(feats))
