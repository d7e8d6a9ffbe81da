"""Data transforms, registered under the scope ``mmswinv2``; these need mmdet."""

from .instaboost import InstaBoost

__all__ = ["InstaBoost"]
