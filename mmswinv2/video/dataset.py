"""Videos and labels by a list; what cannot be read is counted and replaced."""

from __future__ import annotations

import logging
import os
from typing import Any

import mmpretrain.datasets
import torch
from mmengine.logging import print_log

from mmswinv2.errors import RunError
from mmswinv2.registry import DATASETS

from .lists import list_hash, read_classes, read_list
from .reading import UnreadableVideoError


@DATASETS.register_module()
class KineticsDataset(mmpretrain.datasets.BaseDataset):
    """Videos of Kinetics, or of anybody, by a list of lines ``path label``.

    In training, a video that is missing or cannot be decoded is logged, once, and
    another one read in its place, which follows from numpy's seed. In evaluation it is
    an error, as numbers of sets with fewer videos do not compare. The size of the set
    and a hash of its list are logged, since copies of Kinetics differ.

    Args:
        ann_file (str): The list, relative to ``data_root``.
        data_root (str): Folder of all. Defaults to ''.
        data_prefix (str): Folder within ``data_root`` that paths are relative to.
            Defaults to ''.
        classes (str | Sequence[str], optional): Names, or a file of them, one a line,
            relative to ``data_root``. ``metainfo=dict(classes=...)`` will do too.
        delimiter (str): Between path and label. Defaults to ' '.
        labelled (bool): Whether the list has labels. Defaults to True.
        max_unreadable (float): Share of videos; a process that has met more of them
            that cannot be read stops training. Defaults to 0.1.
        **kwargs (Any): Of mmpretrain's ``BaseDataset``. ``test_mode`` is what
            ``SampleFrames`` of the pipeline has, unless it is True.

    Attributes:
        list_hash (str): Eight letters, of the paths and labels in any order.
        unreadable (Tensor): ``(len(self),)`` of uint8 in training, shared with the
            workers: 1 for a video that could not be read.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If a line of it is none; the message has its number.
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        data_prefix: str = "",
        classes: str | list[str] | tuple[str, ...] | None = None,
        delimiter: str = " ",
        labelled: bool = True,
        max_unreadable: float = 0.1,
        **kwargs: Any,
    ) -> None:
        if not 0 <= max_unreadable <= 1:
            raise ValueError(
                f"max_unreadable={max_unreadable}: expected a share from 0 to 1"
            )
        if isinstance(classes, str):
            file = os.path.join(os.path.expanduser(data_root), classes)
            classes = read_classes(file)
        self.delimiter, self.labelled = delimiter, labelled
        self.max_unreadable = max_unreadable
        self.list_hash = ""
        self.unreadable: Any = None  # or a Tensor
        super().__init__(
            ann_file=ann_file,
            data_root=os.path.expanduser(data_root),
            data_prefix=data_prefix,
            classes=classes,
            **{**kwargs, "lazy_init": True},
        )
        parts = self.pipeline.transforms
        self.test_mode: bool = self.test_mode or any(
            getattr(part, "test_mode", False) for part in parts
        )
        if not kwargs.get("lazy_init"):
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Paths and labels of all videos; no file is looked at."""
        names = self.metainfo.get("classes")
        entries = read_list(
            self.ann_file,
            delimiter=self.delimiter,
            labelled=self.labelled,
            classes=len(names) if names else None,
        )
        self.list_hash = list_hash(entries)
        videos = [
            dict(filename=os.path.join(self.img_prefix, path), gt_label=label)
            for path, label in entries
        ]
        return (
            videos if self.labelled else [dict(filename=v["filename"]) for v in videos]
        )

    def full_init(self) -> None:
        """Reads the list and logs what it has."""
        if self._fully_initialized:
            return
        super().full_init()
        names = self.metainfo.get("classes")
        of = f" of {len(names)} classes" if names else ""
        print_log(
            f"{self.ann_file}: {len(self)} videos{of}, hash of the list "
            f"{self.list_hash}",
            "current",
        )
        if not self.test_mode:
            self.unreadable = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def prepare_data(self, idx: int) -> dict:
        """What the pipeline makes of a video, in training of one that can be read."""
        while True:
            try:
                return super().prepare_data(idx)
            except (UnreadableVideoError, FileNotFoundError) as error:
                if self.test_mode:
                    raise RunError(str(error)) from error
                self._count(idx, error)
            idx = self._rand_another()

    def _count(self, idx: int, error: Exception) -> None:
        """Notes a video that cannot be read, and stops where there are too many."""
        if self.unreadable[idx]:
            return
        self.unreadable[idx] = 1
        print_log(
            f"{error} (another video is read in its place)", "current", logging.WARNING
        )
        count = int(self.unreadable.sum())
        if count > self.max_unreadable * len(self) or count == len(self):
            raise RunError(
                f"{count} of {len(self)} videos of {self.ann_file} could not be read, "
                f"the last because {error}. These are more than "
                f"max_unreadable={self.max_unreadable} allows: see data_root and "
                "data_prefix, write the list anew with "
                "tools/dataset_converters/kinetics.py, or allow more"
            )
