"""What is wrong with a list of videos, and whether a pipeline can read them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from mmengine.dataset import BaseDataset

from .findings import Finding, Severity, first
from .folders import try_pipeline
from .pictures import sample

LOOKED_FOR = 2000  # videos of a list, of which some have 240,000
TRIED = 3  # videos that are decoded, until one can be


class VideoCheck:
    """Looks at a data set of videos.

    Args:
        built (BaseDataset): The dataset, not initialised.
        dataset (Mapping): The config's.
        model (Mapping): The config's.
        key (str): The config's key of the dataset.
        training (bool): Whether videos that cannot be read are replaced.

    Attributes:
        videos (dict[str, int]): Bytes by path, where all were looked for.
    """

    def __init__(
        self,
        built: BaseDataset,
        dataset: Mapping,
        model: Mapping,
        *,
        key: str,
        training: bool,
    ) -> None:
        self.built, self.dataset, self.model, self.key = built, dataset, model, key
        self.training = training
        self.videos: dict[str, int] = {}

    def findings(self) -> Iterator[Finding]:
        """All about this dataset."""
        where = f"{self.key}.ann_file"
        try:
            entries = self.built.load_data_list()
        except (ValueError, OSError) as error:
            yield Finding("error", where, str(error), "or name another list there")
            return
        classes = (self.model.get("head") or {}).get("num_classes")
        beyond = [e for e in entries if e.get("gt_label", -1) >= (classes or 1e9)]
        if beyond:
            what = f"labels for which model.head.num_classes={classes} has no class"
            names = first(f"{e['filename']} {e['gt_label']}" for e in beyond)
            cure = "write the number of classes of the list there"
            yield Finding("error", where, what, cure, len(beyond), names)
            return
        looked = sample(entries, LOOKED_FOR)
        there = [e for e in looked if os.path.isfile(e["filename"])]
        missing = {e["filename"] for e in looked} - {e["filename"] for e in there}
        if missing:
            yield self._missing(missing, len(looked), len(entries))
        if len(looked) == len(entries):
            sizes = {e["filename"]: os.path.getsize(e["filename"]) for e in there}
            self.videos = {os.path.realpath(path): n for path, n in sizes.items()}
        found: list[Finding] = []
        for entry in there[:TRIED]:
            example = dict(entry, img_path=entry["filename"])
            found = [*try_pipeline(self.dataset, example, self.model, self.key)]
            if not found:
                return
        yield from found

    def _missing(self, names: set[str], looked: int, listed: int) -> Finding:
        allowed = self.built.max_unreadable if self.training else 0
        severity: Severity = "error" if len(names) > allowed * looked else "warning"
        of = f"{looked} videos" if looked == listed else f"{looked} of {listed} videos"
        what = f"of {of} looked for are not there"
        what += "; others are trained on" if severity == "warning" else ""
        cure = (
            f"set data_root and data_prefix in {self.key}, or write the list anew with "
            "python tools/dataset_converters/kinetics.py"
        )
        where = f"{self.key}.ann_file"
        return Finding(severity, where, what, cure, len(names), first(names))
