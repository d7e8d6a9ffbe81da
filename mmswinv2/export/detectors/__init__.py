"""Detectors as one module that torch.export and ONNX can take."""

from .detector import ExportedDetector

__all__ = ["ExportedDetector"]
