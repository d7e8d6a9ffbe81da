"""Makes stores of maps; ``tools/dataset_converters/make_token_labels.py`` calls it."""

from .making import check_store, make_store

__all__ = ["check_store", "make_store"]
