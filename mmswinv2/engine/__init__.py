"""Hooks, strategies, optimizer wrappers and constructors, scope ``mmswinv2``."""

from .bf16 import Bf16OptimWrapper
from .checkpoint_hook import CheckpointHook
from .fsdp import FSDPStrategy
from .layer_decay import LayerDecayOptimWrapperConstructor
from .non_finite import NonFiniteLossHook
from .picture_hook import PictureHook
from .repeatable_hook import RepeatableHook
from .window_transfer_hook import WindowResolutionTransferHook
from .zero import ZeRO1Strategy

__all__ = [
    "Bf16OptimWrapper",
    "CheckpointHook",
    "FSDPStrategy",
    "LayerDecayOptimWrapperConstructor",
    "NonFiniteLossHook",
    "PictureHook",
    "RepeatableHook",
    "WindowResolutionTransferHook",
    "ZeRO1Strategy",
]
