"""Batches by their number in a run, wherever it begins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from mmswinv2.datasets.fetch import Batch, use_fetch


class NumberedBatches:
    """A batch sampler that says which iteration a batch is for.

    Args:
        inner (BatchSampler): Unused.
        loop (BaseLoop): Whose iterations count.
        position (tuple[int, ...]): Goes before the number of the iteration.
        done (int): Batches to leave out at the first use. Defaults to 0.
        endless (bool): Whether to go through epochs without an end.
    """

    def __init__(
        self,
        inner: BatchSampler,
        loop: Any,
        position: tuple[int, ...],
        *,
        done: int = 0,
        endless: bool = False,
    ) -> None:
        self.inner, self.loop, self.position = inner, loop, position
        self.done, self.endless = done, endless

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inner"], name)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[Batch]:
        first, done, self.done = self.loop.iter, self.done, 0
        if self.endless:
            batches = self._epochs(done)
        else:
            batches = islice(iter(self.inner), done, None)
        for number, batch in enumerate(batches, first):
            yield Batch(batch, (*self.position, number))

    def _epochs(self, done: int) -> Iterator[list]:
        """All epochs of the inner one, from a batch on.

        Only its own iteration tells how many batches an epoch has, or that it has no
        end; no picture is read for that. An epoch that was counted is not gone through
        again.
        """
        epoch = 0
        while True:
            sampler: Any = getattr(self.inner, "sampler", None)
            if epoch and hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)  # as mmengine does
            batches = iter(self.inner)
            skipped = sum(1 for _ in islice(batches, done))
            count = skipped
            for batch in batches:
                count += 1
                yield batch
            if not count:
                raise ValueError(
                    "train_dataloader gives no batch: the data set has fewer samples "
                    "than batch_size, with drop_last=True, or none"
                )
            epoch += 1
            done -= skipped
            if done and count == len(self.inner):
                epoch += done // count
                done %= count


class Ahead:
    """What a loop of iterations takes its batches from.

    It is at the right one from the start, so that the loop's own way there, by reading
    all batches before it, leads through nothing.

    Args:
        loader (DataLoader): One that never ends.
        done (int): Batches that a loop of mmengine 0.10 asks for only to go on.
    """

    def __init__(self, loader: DataLoader, done: int) -> None:
        self.loader, self.done = loader, done
        self.batches: Iterator | None = None

    def __iter__(self) -> Ahead:
        return self

    def skip_iter(self, count: int) -> None:
        """Later versions ask so."""
        self.done = 0

    def __next__(self) -> Any:
        if self.done:
            self.done -= 1
            return None
        if self.batches is None:
            self.batches = iter(self.loader)
        return next(self.batches)


def number_batches(
    runner: Runner, seed: int, position: tuple[int, ...], done: int
) -> None:
    """Has a training loop read each batch as what its number makes of it.

    Its sampler begins at the loop's iteration, and no picture before it is read.

    Args:
        runner (Runner): Before the first iteration, at whichever it is.
        seed (int): Of the sampler.
        position (tuple[int, ...]): Numbers that draws of this process follow from.
        done (int): Batches of this epoch that were trained, in a loop of epochs.
    """
    loop = runner.train_loop
    loader = loop.dataloader
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        return
    use_fetch(loader)
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    endless = hasattr(loop, "dataloader_iterator")
    inner = _batch_sampler(runner, seed)
    batches = NumberedBatches(
        inner,
        loop,
        position,
        done=done if by_epoch else loop.iter * endless,
        endless=endless,
    )
    # torch refuses another batch sampler once a loader is made, but this one has the
    # same batches; workers that mmengine 0.10 has started already are ended
    sampler = getattr(inner, "sampler", loader.sampler)
    vars(loader).update(batch_sampler=batches, sampler=sampler, _iterator=None)
    if endless:
        loop.dataloader_iterator = Ahead(loader, loop.iter)
        loop.fast_forward_on_resume = False
    elif by_epoch and 0 < done < len(loader):  # else it lacks nothing but its end
        _count_from(loop, done)


def _batch_sampler(runner: Runner, seed: int) -> BatchSampler:
    """That of the training loader, or one like it that has this seed and is unused."""
    loop, cfg = runner.train_loop, runner._train_dataloader
    loader = loop.dataloader
    sampler = getattr(loader.batch_sampler, "sampler", None)
    used = getattr(getattr(loop, "dataloader_iterator", None), "_iterator", None)
    same = getattr(sampler, "seed", seed) == seed and used is None
    if same or not isinstance(cfg, dict) or not isinstance(cfg["sampler"], dict):
        return loader.batch_sampler
    sampler = DATA_SAMPLERS.build(
        cfg["sampler"], default_args=dict(dataset=loader.dataset, seed=seed)
    )
    if cfg.get("batch_sampler") is None:
        return BatchSampler(sampler, cfg["batch_size"], cfg.get("drop_last", False))
    return DATA_SAMPLERS.build(
        cfg["batch_sampler"],
        default_args=dict(sampler=sampler, batch_size=cfg["batch_size"]),
    )


def _count_from(loop: EpochBasedTrainLoop, done: int) -> None:
    """Lets a loop call the first batch of this epoch the one after ``done``."""
    run_iter = loop.run_iter

    def run_rest(index: int, batch: Any) -> None:
        run_iter(index + done, batch)
        if index + done + 1 >= len(loop.dataloader):
            loop.run_iter = run_iter

    loop.run_iter = run_rest
