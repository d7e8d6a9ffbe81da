"""Maps of pictures by a teacher, written into a store by one process or several."""
# B batch, K classes, k kept of them, C channels, h w map in tokens

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from torch import Tensor, multiprocessing
from torch.utils.data import DataLoader

from mmswinv2.cli.console import hide_noise
from mmswinv2.errors import RunError
from mmswinv2.pretraining.map_store import FEATURES, MapSpec, MapWriter
from mmswinv2.pretraining.teachers import Teacher, build_teacher
from mmswinv2.pretraining.teachers.base import MEAN, STD

from .batches import halving
from .reading import Rows, SquashedPictures, collate

GO_ON = "give the same command once more, which goes on"


@dataclass(frozen=True)
class Job:
    """What every process needs to know."""

    teacher: str | dict
    weights: str | None
    data: Path
    out: Path
    size: tuple[int, int]  # px
    device: str
    processes: int
    workers: int  # of the data loader of each process

    def build_teacher(self) -> Teacher:
        """On the CPU, for pictures of the size."""
        return build_teacher(self.teacher, weights=self.weights, input_size=self.size)

    def device_of(self, rank: int) -> torch.device:
        """The device of a process: one GPU each, in turn."""
        device = torch.device(self.device)
        if device.type == "cuda" and device.index is None:
            return torch.device("cuda", rank % torch.cuda.device_count())
        return device

    def sharers(self) -> int:
        """Processes that share a device."""
        device = torch.device(self.device)
        many = device.type == "cuda" and device.index is None
        return ceil(self.processes / (torch.cuda.device_count() if many else 1))


class Labeller:
    """Turns images into rows of a store.

    Args:
        teacher (Teacher): Moved to the device.
        device (torch.device): Where it runs.
        top_k (int, optional): Classes to keep of each token, k; None: features.
    """

    def __init__(
        self, teacher: Teacher, device: torch.device, top_k: int | None
    ) -> None:
        self.teacher = teacher.to(device)
        self.device, self.top_k = device, top_k
        shape = (3, 1, 1)
        self._mean = torch.tensor(MEAN, device=device).view(shape)
        self._std = torch.tensor(STD, device=device).view(shape)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Maps ``(B, ...)`` of images ``(B, 3, H, W)`` of 8 bits, on the CPU.

        Raises:
            RunError: If the teacher's numbers do not fit into 16 bits.
        """
        images = (images.to(self.device).float() - self._mean) / self._std
        if self.top_k is None:
            features = self.teacher.features(images)
            return dict(features=self._half(features, "features"))
        logits = self.teacher.logits(images)
        values, ids = logits.topk(self.top_k, 1)
        wide = logits.shape[1] > 2**15
        ids = ids.to(torch.int32 if wide else torch.int16).cpu()
        return dict(values=self._half(values, "logits"), ids=ids)

    def _half(self, values: Tensor, what: str) -> Tensor:
        half = values.half().cpu()
        if not half.isfinite().all():
            raise RunError(
                f"teacher {self.teacher.identity['name']} gives {what} up to "
                f"{float(values.abs().max()):g}, expected numbers within 65,504, which "
                "16 bits hold; its weights may be damaged, or of another model"
            )
        return half


def describe_maps(
    teacher: Teacher, maps: dict[str, Tensor], size: tuple[int, int], exif: bool
) -> MapSpec:
    """What a store of such maps, of one picture or more, will hold."""
    common: dict[str, Any] = dict(
        teacher=teacher.identity,
        grid=tuple(next(iter(maps.values())).shape[2:]),
        input_size=size,
        exif_rotation=exif,
    )
    if FEATURES in maps:
        return MapSpec(FEATURES, channels=maps[FEATURES].shape[1], **common)
    return MapSpec(
        "token_labels",
        num_classes=teacher.num_classes,
        classes=teacher.classes,
        top_k=maps["values"].shape[1],
        **common,
    )


def label_rows(
    job: Job,
    blocks: Sequence[range],
    labeller: Labeller,
    tell: Callable[[str], None],
) -> Iterator[Rows]:
    """Labels the blocks of one process.

    Yields:
        Rows: That were labelled, but for their faults.
    """
    writer = MapWriter(job.out)
    pictures = SquashedPictures(
        job.data,
        writer.paths(),
        job.size,
        interpolation=labeller.teacher.interpolation,
        exif_rotation=writer.spec.exif_rotation,
    )
    loader = DataLoader(
        pictures,
        batch_sampler=[*map(list, blocks)],
        num_workers=job.workers,
        collate_fn=collate,
    )
    for batch in loader:
        maps = halving(labeller, batch.images, tell)
        kept = [i for i, row in enumerate(batch.rows) if row not in batch.faults]
        rows = [batch.rows[i] for i in kept]
        writer.write(rows, {name: array[kept].numpy() for name, array in maps.items()})
        yield batch
    writer.flush()


def label_all(
    job: Job, labeller: Labeller, tell: Callable[[str], None]
) -> Iterator[tuple[int, dict[int, str]]]:
    """Labels all rows that are left.

    Args:
        job (Job): What to do.
        labeller (Labeller): Used where this is the only process.
        tell (Callable): Gets a line for the log.

    Yields:
        tuple[int, dict[int, str]]: Rows of a batch, and faults of some, as it is done.

    Raises:
        RunError: If a process fails or dies.
    """
    blocks = [*MapWriter(job.out).blocks()]
    if job.processes == 1:
        for batch in label_rows(job, blocks, labeller, tell):
            yield len(batch.rows), batch.faults
        return
    labeller.teacher.cpu()  # the first GPU is for the first of the others
    torch.cuda.empty_cache()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    rest = (labeller.top_k, max(torch.get_num_threads() // job.processes, 1), queue)
    processes = [
        context.Process(
            target=_work, args=(job, rank, blocks[rank :: job.processes], *rest)
        )
        for rank in range(job.processes)
    ]
    try:
        for process in processes:
            process.start()
        running = len(processes)
        while running:
            try:
                kind, content = queue.get(timeout=1)  # seconds
            except Empty:
                _check_alive(processes)
                continue
            if kind == "error":
                raise RunError(content)
            if kind == "tell":
                tell(content)
            elif kind == "over":
                running -= 1
            else:
                yield content
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()


def _check_alive(processes: Sequence[BaseProcess]) -> None:
    for rank, process in enumerate(processes):
        if process.exitcode:
            raise RunError(
                f"process {rank} has died (exit code {process.exitcode}; -9 may be for "
                f"want of memory); {GO_ON}"
            )


def _work(
    job: Job,
    rank: int,
    blocks: Sequence[range],
    top_k: int | None,
    threads: int,
    queue: Queue,
) -> None:
    """A process of several."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first one ends the others
    hide_noise()
    logging.disable(logging.INFO)  # the first one has said it
    torch.set_num_threads(threads)

    def tell(text: str) -> None:
        queue.put(("tell", text))

    try:
        labeller = Labeller(job.build_teacher(), job.device_of(rank), top_k)
        for batch in label_rows(job, blocks, labeller, tell):
            queue.put(("rows", (len(batch.rows), batch.faults)))
            parent = parent_process()
            if parent is not None and not parent.is_alive():
                return
        queue.put(("over", None))
    except Exception as error:
        queue.put(("error", f"process {rank}: {error}"))
