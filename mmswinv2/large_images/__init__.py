"""Pictures that are too large for a pass: tiles, and what is found in them joined."""

from .inferencer import LargePictures, check_tile
from .masks import CroppedMasks

__all__ = ["CroppedMasks", "LargePictures", "check_tile"]
