"""Token Labeling: a teacher's labels for every token of the last stage."""

from .classifier import TokenLabelingClassifier
from .head import TokenLabelingHead
from .load import LoadTokenLabels
from .sampling import sample_maps
from .transforms import (
    AutoAugment,
    CenterCrop,
    RandAugment,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    Rotate,
    Shear,
    Translate,
)

__all__ = [
    "AutoAugment",
    "CenterCrop",
    "LoadTokenLabels",
    "RandAugment",
    "RandomCrop",
    "RandomFlip",
    "RandomResizedCrop",
    "Rotate",
    "Shear",
    "TokenLabelingClassifier",
    "TokenLabelingHead",
    "Translate",
    "sample_maps",
]
