"""Maps of teachers on the disk: top classes or features of every picture of a folder.

Made by ``tools/dataset_converters/make_token_labels.py``; see docs/token_labeling.md.
"""

from .manifest import (
    CENTRE_SQUARE,
    FEATURES,
    LOGITS,
    PROBABILITIES,
    TOKEN_LABELS,
    WHOLE,
    MapSpec,
)
from .pictures import Picture, find_pictures
from .store import MapStore, TokenLabelMap
from .writer import MapWriter, begin_store

__all__ = [
    "CENTRE_SQUARE",
    "FEATURES",
    "LOGITS",
    "PROBABILITIES",
    "TOKEN_LABELS",
    "WHOLE",
    "MapSpec",
    "MapStore",
    "MapWriter",
    "Picture",
    "TokenLabelMap",
    "begin_store",
    "find_pictures",
]
