"""Hooks, registered under the scope ``mmswinv2``."""

from .window_transfer_hook import WindowResolutionTransferHook

__all__ = ["WindowResolutionTransferHook"]
