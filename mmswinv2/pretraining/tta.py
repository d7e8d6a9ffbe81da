"""Test-time augmentation of classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import mmpretrain.models
from mmpretrain.structures import DataSample

from mmswinv2.registry import MODELS


@MODELS.register_module()
class AverageClsScoreTTA(mmpretrain.models.AverageClsScoreTTA):
    """mmpretrain's mean of the scores of views, with the label that it has.

    mmpretrain leaves the first view's label beside the mean.
    """

    def _merge_single_sample(self, data_samples: Sequence[DataSample]) -> DataSample:
        merged = super()._merge_single_sample(data_samples)
        return merged.set_pred_label(merged.pred_score.argmax(dim=0, keepdim=True))
