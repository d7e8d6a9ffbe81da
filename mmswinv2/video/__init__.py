"""Clips: backbone, data and classifier, scope ``mmswinv2``; needs the extra 'video'.

Configs import this by ``custom_imports``. All but the backbone needs mmpretrain, and
PyAV where videos are read.
"""

from mmswinv2.mmpretrain_import import import_mmpretrain, is_installed

from .backbone import VideoSwinTransformerV2

__all__ = ["VideoSwinTransformerV2"]

if is_installed("mmpretrain"):
    import_mmpretrain()

    from .classifier import VideoClassifier, VideoClsHead
    from .dataset import KineticsDataset
    from .preprocessor import VideoDataPreprocessor
    from .strips import ClipPictureHook
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

    __all__ += [
        "CenterCropClip",
        "ClipPictureHook",
        "DecodeVideo",
        "FlipClip",
        "KineticsDataset",
        "PackClip",
        "RandomResizedCropClip",
        "ResizeClip",
        "SampleFrames",
        "SpatialCrops",
        "UnreadableVideosHook",
        "VideoClassifier",
        "VideoClsHead",
        "VideoDataPreprocessor",
    ]
