"""Clips: data on mmpretrain and PyAV, scope ``mmswinv2``; needs the extra 'video'.

Configs import this by ``custom_imports``.
"""

# ruff: noqa: E402  (what needs mmpretrain comes after the sentence on why it fails)
from mmswinv2.mmpretrain_import import import_mmpretrain

import_mmpretrain()

from .dataset import KineticsDataset
from .transforms import (
    CenterCropClip,
    DecodeVideo,
    FlipClip,
    PackClip,
    RandomResizedCropClip,
    ResizeClip,
    SampleFrames,
    SpatialCrops,
)
from .unreadable_hook import UnreadableVideosHook

__all__ = [
    "CenterCropClip",
    "DecodeVideo",
    "FlipClip",
    "KineticsDataset",
    "PackClip",
    "RandomResizedCropClip",
    "ResizeClip",
    "SampleFrames",
    "SpatialCrops",
    "UnreadableVideosHook",
]
