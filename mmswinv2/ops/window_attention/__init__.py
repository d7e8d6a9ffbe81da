"""Scaled cosine window attention: one operator, several implementations."""

from .dispatch import IMPLEMENTATIONS, check_implementation, window_attention

__all__ = ["IMPLEMENTATIONS", "check_implementation", "window_attention"]
