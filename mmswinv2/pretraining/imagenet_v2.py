"""ImageNet-V2: new test sets for classifiers of ImageNet-1K."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import mmpretrain.datasets

from mmswinv2.registry import DATASETS

CLASSES, PER_CLASS = 1000, 10


@DATASETS.register_module()
class ImageNetV2(mmpretrain.datasets.ImageNet):
    """`ImageNet-V2 <https://arxiv.org/abs/1902.10811>`_, 10 pictures of each class.

    The archives unpack to folders called 0 to 999, which sorting as text would put into
    another order; older releases have WordNet ids. Both give the classes of ImageNet.

    Args:
        data_root (str): Folder of the variants. Defaults to 'data/imagenet-v2'.
        data_prefix (str): Which variant, the folder that its archive unpacks to:
            'imagenetv2-matched-frequency-format-val', which papers mean where they say
            no more, 'imagenetv2-threshold0.7-format-val' or
            'imagenetv2-top-images-format-val'. Defaults to the first.
        **kwargs (Any): Of mmpretrain's ``ImageNet``.

    Raises:
        ValueError: If there are not 1000 folders of 10 pictures.
    """

    def __init__(
        self,
        data_root: str = "data/imagenet-v2",
        data_prefix: str = "imagenetv2-matched-frequency-format-val",
        **kwargs: Any,
    ) -> None:
        super().__init__(data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Paths and labels of all pictures."""
        samples = self._find_files()
        counts = Counter(folder for folder, _ in samples)
        numbered = all(name.isdecimal() for name in counts)
        names = sorted(counts, key=int if numbered else str)
        allowed = {*map(str, range(CLASSES))} if numbered else counts.keys()
        wrong = [n for n in names if counts[n] != PER_CLASS or n not in allowed]
        if wrong or len(names) != CLASSES:
            such_as = f" ({wrong[0]!r} has {counts[wrong[0]]})" if wrong else ""
            raise ValueError(
                f"{self.img_prefix} is not ImageNet-V2: expected {CLASSES} folders of "
                f"{PER_CLASS} pictures, called 0 to {CLASSES - 1} or by WordNet id; "
                f"found {len(names)} with pictures, {len(wrong)} of them not like "
                f"that{such_as}; unpack its archive anew, into an empty folder"
            )
        label_of = {name: label for label, name in enumerate(names)}
        return [
            dict(
                img_path=os.path.join(self.img_prefix, folder, file),
                gt_label=label_of[folder],
            )
            for folder, file in samples
        ]

    def _find_files(self) -> list[tuple[str, str]]:
        """(folder, file) of all pictures."""
        if not os.path.isdir(self.img_prefix):
            raise FileNotFoundError(
                f"{self.img_prefix} does not exist; expected the folder that an "
                "archive of ImageNet-V2 unpacks to"
            )
        folders = sorted(e.name for e in os.scandir(self.img_prefix) if e.is_dir())
        return [
            (folder, file)
            for folder in folders
            for file in sorted(os.listdir(os.path.join(self.img_prefix, folder)))
            if self.is_valid_file(file)
        ]
