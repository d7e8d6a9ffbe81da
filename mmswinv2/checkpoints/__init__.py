"""Published weights: reading files safely, names, pre-training windows, reports.

Knows files and state dicts, no modules.
"""

from .adapt import LoadReport, adapt_state_dict, forget_heads
from .locate import SwinWeights
from .sources import read_checkpoint, read_swin_weights

__all__ = [
    "LoadReport",
    "SwinWeights",
    "adapt_state_dict",
    "forget_heads",
    "read_checkpoint",
    "read_swin_weights",
]
