"""Pictures for people: predictions beside the truth, and colours that stay apart."""

from .class_scores import top_classes
from .palette import distinct_colors, palette_of
from .samples import draw_sample
from .summary import describe

__all__ = ["describe", "distinct_colors", "draw_sample", "palette_of", "top_classes"]
