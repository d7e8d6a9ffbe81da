"""Ctrl-C and SIGTERM save a checkpoint, and say the command that goes on from it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmswinv2.engine.checkpoint_hook import CheckpointHook

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO = 2.0  # seconds in which a parent, such as torchrun, repeats what all have got


class Interruption(Hook):
    """Stops training after the step that runs when a signal comes.

    A context around training, and a hook of its runner. The first Ctrl-C (or SIGTERM)
    saves what ``CheckpointHook`` does, so that ``--resume`` finds it; the second ends
    at once, as one does before training. In a distributed run the processes agree on
    the step, whichever of them got the signal.

    With ``RepeatableHook``, an epoch that was left in the middle goes on with the
    batches that were not seen; mmengine by itself would begin it anew.
    """

    def __init__(self) -> None:
        self.number = 0  # of the signal
        self._training = self._in_step = False
        self._since = 0.0
        self._process = os.getpid()
        self._previous: dict = {}

    def __enter__(self) -> Interruption:
        numbers = (*SIGNALS, signal.SIGCHLD)
        self._previous = {number: signal.getsignal(number) for number in numbers}
        for number in SIGNALS:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: Any) -> None:
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
        self._in_step = False
        number = self.number
        if runner.world_size > 1:
            signals = torch.tensor(number)
            all_reduce(signals, "max")
            number = int(signals)
        if number:
            self._leave(runner, number)

    def _leave(self, runner: Runner, number: int) -> None:
        path = save(runner)
        runner.logger.info(
            f"Interrupted after iteration {runner.iter + 1} of {runner.max_iters}, "
            f"saved {path}. To go on:\n{resume_command(sys.argv)}"
        )
        raise SystemExit(128 + number)


def save(runner: Runner) -> str:
    """Saves a checkpoint as ``CheckpointHook`` would, after an iteration; its path."""
    hook = next((x for x in runner.hooks if isinstance(x, CheckpointHook)), None)
    if hook is None:
        hook = CheckpointHook()
        hook.before_train(runner)
    name = f"iter_{runner.iter + 1}.pth"
    meta = dict(epoch=runner.epoch, iter=runner.iter + 1)  # the epoch is not over
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
    program = kept.pop(0)
    if not program.startswith("mmswinv2 "):  # as mmswinv2/__main__.py has it
        program = shlex.join(["python", program])
    command = f"{program} {shlex.join([*kept, '--resume'])}"
    if _distributed():
        return f"{command}\nin each process, as it was started"
    return command


def _distributed() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())  # print must not be entered twice
