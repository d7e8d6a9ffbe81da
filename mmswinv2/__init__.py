"""Swin Transformer V2 for MMDetection 3.x and MMSegmentation 1.x.

This module stays trivial on purpose: mmengine imports it while it looks up
``mmswinv2.*`` types and hides any ImportError raised here.
"""

__version__ = "1.0.0"
