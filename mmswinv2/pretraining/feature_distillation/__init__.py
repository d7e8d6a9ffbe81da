"""Feature Distillation: a student learns the last feature map of a frozen teacher."""

from .load import LoadTeacherFeatures
from .model import FeatureDistillation
from .projection import FeatureProjection

__all__ = ["FeatureDistillation", "FeatureProjection", "LoadTeacherFeatures"]
