"""Label maps in the data pipeline."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mmswinv2.registry import TRANSFORMS

from .geometry import IDENTITY


@TRANSFORMS.register_module()
class LoadTokenLabels(BaseTransform):
    """Adds the label map of a picture, which later transforms leave as it is.

    They note how they move pixels instead, see :func:`note`: maps are sampled once, on
    the device of the model. Only twins and what moves no pixel may follow, see
    :func:`check_pipeline`.

    Adds ``token_label_values``, fp16 ``(k, h, w)``, of the classes
    ``token_label_ids``, ``token_label_kind``, 'logits' or 'probabilities', and
    ``geometry``.

    Args:
        store (str): Folder that ``make_token_labels.py`` has written.
        data_root (str): Folder that it was made from, which the store's paths are
            relative to.

    Raises:
        FileNotFoundError: If there is no such store.
        ValueError: If it lacks a picture, or is of another kind.
    """

    geometry_known = True

    def __init__(self, store: str, data_root: str) -> None:
        # here: the store is another room's, and only this needs it
        from mmswinv2.pretraining.map_store import MapStore

        if not os.path.isdir(store):
            raise FileNotFoundError(
                f"{store} has no label maps; make them with python "
                "tools/dataset_converters/make_token_labels.py --teacher "
                f"dm_nfnet_f6.dm_in1k --data {data_root} --out {store}"
            )
        self.store, self.data_root = MapStore(store), data_root

    def transform(self, results: dict) -> dict:
        """Add the map of one picture."""
        path = Path(os.path.relpath(results["img_path"], self.data_root)).as_posix()
        labels = self.store.read(path)
        results["token_label_values"] = np.array(labels.values)
        results["token_label_ids"] = np.array(labels.ids)
        results["token_label_kind"] = self.store.values
        results.setdefault("geometry", IDENTITY)
        return results
