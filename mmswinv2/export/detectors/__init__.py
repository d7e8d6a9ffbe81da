"""Detectors as networks whose files need neither mmdet nor mmcv."""

from .detector import ExportedDetector

__all__ = ["ExportedDetector"]
