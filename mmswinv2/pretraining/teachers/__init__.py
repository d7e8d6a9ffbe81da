"""Teachers of other models: frozen networks of timm, of configs and of Hugging Face."""

from .base import Teacher
from .build import build_teacher
from .config_teacher import ConfigTeacher
from .timm_teacher import TimmTeacher
from .transformers_teacher import TransformersTeacher

__all__ = [
    "ConfigTeacher",
    "Teacher",
    "TimmTeacher",
    "TransformersTeacher",
    "build_teacher",
]
