"""How a data loader gets its samples: under a seed of the batch, and errors by name."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmswinv2.errors import RunError

from .bounds import bound_dataset


class Batch(list):
    """Indices of a batch, and numbers that its random draws follow from.

    Args:
        indices (Sequence): As a batch sampler gives them.
        position (Sequence[int]): The numbers, none of them negative.
    """

    def __init__(self, indices: Sequence = (), position: Sequence[int] = ()) -> None:
        super().__init__(indices)
        self.position = position


class Fetch:
    """What torch's data loaders call in place of a dataset's ``__getitem__``.

    Args:
        dataset (Dataset): With ``__getitem__`` or, for whole batches,
            ``__getitems__``.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.whole = getattr(dataset, "__getitems__", None)

    def __call__(self, indices: Sequence) -> Sequence:
        """Samples of a batch, the same wherever and whenever they are read.

        Raises:
            RuntimeError: If one cannot be read; it has the name of the file.
            RunError: If the data set says that the run cannot go on.
        """
        if get_worker_info() is not None:
            _die_with_parent()
        if isinstance(indices, Batch):
            seed_everything(*indices.position)
        if self.whole is not None:
            return self.whole([*indices])
        return [self._sample(index) for index in indices]

    def _sample(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except RunError:
            raise
        except Exception as error:
            raise RuntimeError(
                f"sample {index}{self._file(index)} could not be read: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _file(self, index: int) -> str:
        try:
            info = self.dataset.get_data_info(index)
            return f", {info.get('img_path') or info['filename']},"
        except Exception:  # a dataset of another kind, or what failed is this
            return ""


def use_fetch(loader: DataLoader) -> None:
    """Has a loader get its samples by :class:`Fetch`, in its workers too.

    Annotations that would kill a worker are refused there.

    Args:
        loader (DataLoader): Before its workers start. One of a stream stays as it is,
            as does one of a plain list.
    """
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__dict__"):
        return
    bound_dataset(dataset)
    if not isinstance(vars(dataset).get("__getitems__"), Fetch):
        vars(dataset)["__getitems__"] = Fetch(dataset)  # torch looks for it


def seed_everything(*position: int) -> None:
    """Has Python, numpy and torch, GPUs included, draw what follows from numbers.

    Args:
        *position (int): Not negative. Streams of different numbers have nothing in
            common, even where they differ by one.
    """
    words = np.random.SeedSequence(position).generate_state(8)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:6])
    torch.manual_seed(int(words[6]) << 32 | int(words[7]))


@cache
def _die_with_parent() -> None:
    """Has Linux end this worker when its run is killed.

    torch's workers notice that, and then wait for somebody to take what they have read:
    their memory would be gone until somebody ends them by hand.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # of <sys/prctl.h>
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent and os.getppid() == 1 != parent.pid:
            os.kill(os.getpid(), signal.SIGKILL)  # it was killed before
