"""Hooks and optimizer constructors, registered under the scope ``mmswinv2``."""

from .layer_decay import LayerDecayOptimWrapperConstructor
from .window_transfer_hook import WindowResolutionTransferHook

__all__ = ["LayerDecayOptimWrapperConstructor", "WindowResolutionTransferHook"]
