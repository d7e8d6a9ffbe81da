"""Hooks, optimizer constructors and strategies, under the scope ``mmswinv2``."""

from .fsdp import FSDPStrategy
from .layer_decay import LayerDecayOptimWrapperConstructor
from .picture_hook import PictureHook
from .window_transfer_hook import WindowResolutionTransferHook
from .zero import ZeRO1Strategy

__all__ = [
    "FSDPStrategy",
    "LayerDecayOptimWrapperConstructor",
    "PictureHook",
    "WindowResolutionTransferHook",
    "ZeRO1Strategy",
]
