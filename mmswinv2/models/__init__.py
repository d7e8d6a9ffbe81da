"""Swin Transformer V2 modules, registered under the scope ``mmswinv2``."""

from mmswinv2.architectures import ARCHITECTURES

from .global_attention import GlobalAttention
from .instance_tta import InstanceTTAModel
from .swin_transformer_v2 import SwinTransformerV2

__all__ = ["ARCHITECTURES", "GlobalAttention", "InstanceTTAModel", "SwinTransformerV2"]
