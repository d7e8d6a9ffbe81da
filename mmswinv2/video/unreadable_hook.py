"""Says after each epoch how many videos could not be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmswinv2.checkpoints.whole_files import write_whole
from mmswinv2.registry import HOOKS

from .dataset import KineticsDataset

FILE = "unreadable_videos.txt"


@HOOKS.register_module()
class UnreadableVideosHook(Hook):
    """Totals the videos that training has replaced, of all workers and processes.

    Writes their names to ``unreadable_videos.txt`` in the work dir.

    Examples:
        >>> custom_hooks = [dict(type="mmswinv2.UnreadableVideosHook")]
    """

    def after_train_epoch(self, runner: Runner) -> None:
        """All videos were asked for."""
        names = []
        total = 0
        for dataset in _kinetics(runner.train_dataloader.dataset):
            flags = dataset.unreadable.clone()
            all_reduce(flags, op="max")
            total += len(flags)
            names += [
                dataset.get_data_info(int(index))["filename"]
                for index in flags.nonzero()
            ]
        if not names:
            return
        path = Path(runner.work_dir) / FILE
        if is_main_process():
            write_whole(path, "".join(f"{name}\n" for name in sorted({*names})))
        runner.logger.log(
            logging.WARNING,
            f"{len(names)} of {total} videos could not be read, and others were read "
            f"in their place: {path}",
        )


def _kinetics(dataset: object) -> Iterator[KineticsDataset]:
    """Datasets of videos inside wrappers."""
    if isinstance(dataset, KineticsDataset) and dataset.unreadable is not None:
        yield dataset
    for inner in getattr(dataset, "datasets", ()):
        yield from _kinetics(inner)
    if hasattr(dataset, "dataset"):
        yield from _kinetics(dataset.dataset)
