"""Clips: a backbone of three axes, scope ``mmswinv2``.

Configs import this by ``custom_imports``.
"""

from .backbone import VideoSwinTransformerV2

__all__ = ["VideoSwinTransformerV2"]
