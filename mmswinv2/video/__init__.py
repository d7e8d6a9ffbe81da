"""Clips: 3-D backbone, data and classifier on mmpretrain, scope ``mmswinv2``.

Configs import this by ``custom_imports``; it needs mmpretrain, and PyAV where videos
are read.
"""

# ruff: noqa: E402  (what needs mmpretrain comes after the sentence on why it fails)
from mmswinv2.mmpretrain_import import import_mmpretrain

import_mmpretrain()

from .classifier import VideoClassifier, VideoClsHead
from .preprocessor import VideoDataPreprocessor

__all__ = ["VideoClassifier", "VideoClsHead", "VideoDataPreprocessor"]
