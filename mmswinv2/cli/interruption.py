"""Ctrl-C and SIGTERM save a checkpoint, and say the command that goes on from it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from types import FrameType

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmswinv2.engine.checkpoint_hook import CheckpointHook

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DONE = "batches_of_epoch"  # in the meta of a checkpoint from the middle of an epoch
ECHO = 2.0  # seconds in which a parent, such as torchrun, repeats what all have got


class Interruption(Hook):
    """Stops training after the step that runs when a signal comes.

    A context around training, and a hook of its runner. The first Ctrl-C (or SIGTERM)
    saves what ``CheckpointHook`` does, so that ``--resume`` finds it; the second ends
    at once, as one does before training. In a distributed run the processes agree on
    the step, whichever of them got the signal.

    Epochs that were left in the middle go on with the batches that were not seen:
    mmengine by itself would begin the epoch anew while its count of iterations goes on.
    """

    def __init__(self) -> None:
        self.number = 0  # of the signal
        self._training = self._in_step = False
        self._batches = 0  # of this epoch
        self._since = 0.0
        self._process = os.getpid()
        self._previous: dict = {}

    def __enter__(self) -> Interruption:
        numbers = (*SIGNALS, signal.SIGCHLD)
        self._previous = {number: signal.getsignal(number) for number in numbers}
        for number in SIGNALS:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: of C

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker of a data loader has this handler
            if number == signal.SIGTERM:
                os._exit(128 + number)
        elif self._training and not self.number:
            self.number, self._since = number, time.monotonic()
            # schedulers send SIGTERM to the workers of data loaders too: torch would
            # raise over them, in the middle of the step
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _say("stops and saves after this step (after this evaluation, if one runs)")
            _say("Ctrl-C again ends at once")
        elif self._is_wish(number):
            _say("interrupted")
            raise SystemExit(128 + number)

    def _is_wish(self, number: int) -> bool:
        """Whether a signal is not the echo of one that a parent process got too."""
        alone = number == self.number and not _distributed()
        return alone or time.monotonic() - self._since > ECHO

    def train(self, runner: Runner) -> None:
        """Trains with this hook."""
        runner.register_hook(self, "LOWEST")
        try:
            runner.train()
        except Exception:
            # a worker of the data loader got the signal as well and is dead
            if not self.number or self._in_step or runner.world_size > 1:
                raise
            runner.train_loop._iter -= 1  # as it is within after_train_iter
            self._leave(runner, self.number)

    def before_train(self, runner: Runner) -> None:
        """From here on there is something to save."""
        self._training = True

    def after_train(self, runner: Runner) -> None:
        """CheckpointHook has saved everything."""
        self._training = False

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Weights change until the end of the step."""
        self._in_step = True

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Save and leave where a signal has come."""
        self._in_step, self._batches = False, batch_idx + 1
        number = self.number
        if runner.world_size > 1:
            signals = torch.tensor(number)
            all_reduce(signals, "max")
            number = int(signals)
        if number:
            self._leave(runner, number)

    def after_train_epoch(self, runner: Runner) -> None:
        """The next epoch begins with its first batch."""
        self._batches = 0

    def _leave(self, runner: Runner, number: int) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        path = save(runner, {DONE: self._batches} if by_epoch else {})
        runner.logger.info(
            f"Interrupted after iteration {runner.iter + 1} of {runner.max_iters}, "
            f"saved {path}. To go on:\n{resume_command(sys.argv)}"
        )
        raise SystemExit(128 + number)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Go on in the middle of an epoch."""
        done = checkpoint.get("meta", {}).get(DONE)
        if done and runner._resume:
            skip_batches(runner.train_loop, done, checkpoint["meta"].get("seed"))


def save(runner: Runner, meta: dict) -> str:
    """Saves a checkpoint as ``CheckpointHook`` would, after an iteration; its path."""
    hook = next((x for x in runner.hooks if isinstance(x, CheckpointHook)), None)
    if hook is None:
        hook = CheckpointHook()
        hook.before_train(runner)
    name = f"iter_{runner.iter + 1}.pth"
    meta = dict(epoch=runner.epoch, iter=runner.iter + 1, **meta)  # of an epoch so far
    return hook.save(runner, name, meta, by_epoch=False)


def resume_command(argv: Sequence[str]) -> str:
    """The command line of a run with ``--resume``, that is, the latest checkpoint."""
    arguments = iter(argv)
    kept = []
    for argument in arguments:
        if argument == "--resume":
            following = next(arguments, None)
            # its value, where it has one, is a checkpoint
            if following and following.endswith((".pth", ".pt")):
                continue
            kept += [following] if following else []
        elif not argument.startswith("--resume="):
            kept.append(argument)
    command = shlex.join(["python", *kept, "--resume"])
    if _distributed():
        return f"{command}\nin each process, as it was started"
    return command


def skip_batches(loop: EpochBasedTrainLoop, done: int, seed: int | None) -> None:
    """Lets the next epoch of a loop begin after ``done`` batches, without loading them.

    Args:
        loop (EpochBasedTrainLoop): Before its first epoch.
        done (int): Batches of this epoch that were trained.
        seed (int, optional): Of the run that was interrupted: its sampler's.
    """
    loader = loop.dataloader
    sampler = loader.batch_sampler.sampler
    if seed is not None and hasattr(sampler, "seed"):
        sampler.seed = seed  # the same order; mmengine sets only the run's
    # torch refuses another batch sampler once a loader is made, but this one only skips
    vars(loader)["batch_sampler"] = _SkipOnce(loader.batch_sampler, done)
    run_iter = loop.run_iter

    def run_rest(index: int, batch: object) -> None:
        run_iter(index + done, batch)
        if index + done + 1 >= len(loader):
            loop.run_iter = run_iter

    if done < len(loader):  # otherwise the epoch lacks nothing but its end
        loop.run_iter = run_rest


class _SkipOnce:
    """A batch sampler that leaves out batches at its first use."""

    def __init__(self, inner: object, count: int) -> None:
        self.inner, self.count = inner, count

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["inner"], name)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator:
        count, self.count = self.count, 0
        return islice(iter(self.inner), count, None)


def _distributed() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())  # print must not be entered twice
