"""Models as programs that need neither this package nor torch."""

from .portable import portable

__all__ = ["portable"]
