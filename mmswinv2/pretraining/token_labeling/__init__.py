"""Token Labeling: a teacher's labels for every token of the last stage."""

from .classifier import TokenLabelingClassifier
from .geometry import note
from .head import TokenLabelingHead
from .load import LoadMaps, LoadTokenLabels
from .pipeline_check import check_pipeline
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
    "LoadMaps",
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
    "check_pipeline",
    "note",
    "sample_maps",
]
