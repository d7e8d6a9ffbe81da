"""ImageNet-22K by the lists that the official code reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmpretrain.datasets

from mmswinv2.registry import DATASETS

CLASSES = 21841
# Of 21843 synsets two have no pictures; the last two have their places.
MOVED = {21841: 9205, 21842: 15027}


@DATASETS.register_module()
class ImageNet22K(mmpretrain.datasets.CustomDataset):
    """Pictures and labels of ImageNet-22K, fall 2011, by a list.

    A list is JSON, ``[["n00004475/n00004475_6590.JPEG", 0], ...]``, as the official
    ``ILSVRC2011fall_whole_map_train.txt``, or has a path, a tab and a label a line, as
    the official ``train_map.txt``. Labels are ranks of WordNet ids.

    Args:
        data_root (str): Folder of the list and of what its paths begin with.
        ann_file (str): The list, relative to ``data_root``.
        data_prefix (str): Folder within ``data_root`` that paths are relative to.
            Defaults to ''.
        **kwargs (Any): Of mmpretrain's ``CustomDataset``.

    Raises:
        ValueError: If the list is neither, or a label is out of range.
    """

    def __init__(
        self, data_root: str, ann_file: str, data_prefix: str = "", **kwargs: Any
    ) -> None:
        super().__init__(
            data_root=data_root, ann_file=ann_file, data_prefix=data_prefix, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """Paths and labels of all pictures."""
        data_list = []
        for number, entry in enumerate(self._entries(), 1):
            try:
                path, label = entry
                label = MOVED.get(int(label), int(label))
            except (ValueError, TypeError):
                raise ValueError(
                    f"{self.ann_file}: entry {number} is {entry!r}, expected a path "
                    "and a label; write [[path, label], ...] as JSON, or a path, a tab "
                    "and a label a line"
                ) from None
            if not 0 <= label < CLASSES:
                raise ValueError(
                    f"{self.ann_file}: entry {number} ({path}) has the label {label}, "
                    f"expected 0 to {CLASSES - 1}, the rank of its WordNet id"
                )
            # an absolute path would leave the folder, which official ones do not mean
            file = os.path.join(self.img_prefix, path.lstrip("/"))
            data_list.append(dict(img_path=file, gt_label=label))
        return data_list

    def _entries(self) -> Iterator[list]:
        text = Path(self.ann_file).read_text()
        if not text.lstrip().startswith("["):
            return (line.rsplit("\t", 1) for line in text.splitlines() if line.strip())
        try:
            return iter(json.loads(text))
        except ValueError as error:
            raise ValueError(
                f"{self.ann_file} starts as a JSON list, but is none: {error}; copy it "
                "again"
            ) from error
