"""Classification and SimMIM on mmpretrain, scope ``mmswinv2``; needs it installed.

Configs import this by ``custom_imports``: nothing else in the package needs mmpretrain.
"""

# ruff: noqa: E402  (what needs mmpretrain comes after the sentence on why it fails)
from mmswinv2.mmpretrain_import import import_mmpretrain

import_mmpretrain()

from .feature_distillation import (
    FeatureDistillation,
    FeatureProjection,
    LoadTeacherFeatures,
)
from .imagenet_22k import ImageNet22K
from .imagenet_v2 import ImageNetV2
from .linear_head import LinearClsHead
from .random_patch_mask import RandomPatchMask
from .reconstruction_hook import ReconstructionHook
from .simmim_backbone import SimMIMSwinV2
from .simmim_head import SimMIMHead
from .teachers import ConfigTeacher, TimmTeacher, TransformersTeacher
from .token_labeling import LoadTokenLabels, TokenLabelingClassifier, TokenLabelingHead
from .tta import AverageClsScoreTTA

__all__ = [
    "AverageClsScoreTTA",
    "ConfigTeacher",
    "FeatureDistillation",
    "FeatureProjection",
    "ImageNet22K",
    "ImageNetV2",
    "LinearClsHead",
    "LoadTeacherFeatures",
    "LoadTokenLabels",
    "RandomPatchMask",
    "ReconstructionHook",
    "SimMIMHead",
    "SimMIMSwinV2",
    "TimmTeacher",
    "TokenLabelingClassifier",
    "TokenLabelingHead",
    "TransformersTeacher",
]
