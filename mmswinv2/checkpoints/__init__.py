"""Published weights: reading files safely, names, pre-training windows, reports.

Knows files and state dicts, no modules.
"""

from .adapt import LoadReport, adapt_state_dict
from .files import read_checkpoint

__all__ = ["LoadReport", "adapt_state_dict", "read_checkpoint"]
