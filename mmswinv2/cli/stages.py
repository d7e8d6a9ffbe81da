"""Stages of an experiment: what each runs, what it keeps, how far it is.

A stage is one command, mostly of tools/train.py or tools/test.py, with a folder of its
own. It is kept when it finished with the same command, configs, data and earlier
stages, and picked up from its last checkpoint when it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mmswinv2.places import ROOT

RECORD = "stage.json"
LOG = "log.txt"
WEIGHTS = "{weights}"  # in a command: the checkpoint of the stage before
FOLDER = "{folder}"  # in a command that takes no --work-dir: the stage's folder
POLL_SECONDS = 0.5
# glibc gives large tensors back to the system in every step and asks for them anew,
# which takes a seventh of a training on the CPU.
KEEP_MEMORY = {f"MALLOC_{name}_THRESHOLD_": str(2**30) for name in ("MMAP", "TRIM")}
ITERATION = re.compile(rb"Iter\((?:train|test)\) *\[ *(\d+)/(\d+)\]")


class StageError(RuntimeError):
    """A stage's command failed."""


@dataclass(frozen=True)
class Stage:
    """A command of an experiment.

    Args:
        title (str): What it does, for the progress bar.
        folder (Path): Where it writes.
        command (tuple[str, ...]): Arguments of Python, from the script on.
        seconds (float): How long it takes on a core, for the progress bar.
        data (Path): The manifest of the data.
        configs (tuple[Path, ...]): Folders of the configs that the command reads.
        after (Stage, optional): The one whose weights or files it needs.
    """

    title: str
    folder: Path
    command: tuple[str, ...]
    seconds: float
    data: Path
    configs: tuple[Path, ...] = ()
    after: Stage | None = None

    def key(self) -> str:
        """Fingerprint of all that decides the outcome but the code."""
        parts = [self.after.key() if self.after else "", *self.command]
        parts.append(self.data.read_text())
        for path in sorted(p for c in self.configs for p in c.rglob("*.py")):
            parts.append(path.read_text())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def record(self) -> dict:
        """What is known of an earlier run, or an empty dict if it was another."""
        path = self.folder / RECORD
        found = json.loads(path.read_text()) if path.is_file() else {}
        return found if found.get("key") == self.key() else {}

    def is_done(self) -> bool:
        """Whether it finished before."""
        return self.record().get("done", False)

    def weights(self) -> Path:
        """The last checkpoint of a training."""
        return (
            self.folder / (self.folder / "last_checkpoint").read_text().split("/")[-1]
        )

    def scores(self) -> dict[str, float]:
        """What a test measured, as tools/test.py wrote it."""
        # into <work dir>/<time>/<time>.json
        found = self.folder.glob("*/*.json")
        newest = max(path for path in found if path.stem == path.parent.name)
        return json.loads(newest.read_text())

    def run(self, advance: Callable[[float], None], stop: threading.Event) -> None:
        """Run the command, or what is left of it.

        Args:
            advance (Callable): Called with the share that is done, 0 to 1.
            stop (threading.Event): Ends the command when set.

        Raises:
            StageError: If the command fails or is stopped.
        """
        record: dict[str, Any] = self.record()
        if record.get("done"):
            advance(1.0)
            return
        if not record:
            shutil.rmtree(self.folder, ignore_errors=True)
            record = {"key": self.key(), "seconds": 0.0, "done": False}
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [part.replace(FOLDER, str(self.folder)) for part in self.command]
        if command == [*self.command]:
            command += ["--work-dir", str(self.folder)]
        if self.after and any(WEIGHTS in part for part in command):
            weights = str(self.after.weights())
            command = [part.replace(WEIGHTS, weights) for part in command]
        command.insert(0, sys.executable)
        if (self.folder / "last_checkpoint").is_file():
            command.append("--resume")
        start, earlier = time.monotonic(), record["seconds"]
        with (self.folder / LOG).open("ab") as log:
            # One thread: two tasks run side by side, and more threads than cores
            # wait for each other.
            env = KEEP_MEMORY | os.environ
            env |= dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
            child = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=env
            )
            try:
                while child.poll() is None and not stop.wait(POLL_SECONDS):
                    record["seconds"] = earlier + time.monotonic() - start
                    self._write(record)
                    advance(self._progress())
            finally:
                if child.poll() is None:
                    child.terminate()
                    child.wait()
        if child.returncode:
            raise StageError(
                f"{self.title}: exit code {child.returncode}; see {log.name}"
            )
        record.update(done=True, seconds=earlier + time.monotonic() - start)
        self._write(record)
        advance(1.0)

    def _write(self, record: dict) -> None:
        draft = self.folder / f"{RECORD}.part"
        draft.write_text(json.dumps(record))
        draft.replace(self.folder / RECORD)

    def _progress(self) -> float:
        done, total = last_iteration(self.folder / LOG)
        return done / total


def run_side_by_side(queues: Sequence[Sequence[Stage]], console: Console) -> None:
    """Run queues of stages at once, each on one thread, and show how far they are.

    Args:
        queues (Sequence[Sequence[Stage]]): Stages that run one after the other.
        console (Console): Where the progress is shown.

    Raises:
        StageError: If a stage fails; the others are stopped first.
    """
    stop = threading.Event()
    with _progress_of_stages(console) as progress:

        def run(queue: Sequence[Stage]) -> None:
            total = sum(stage.seconds for stage in queue)
            bar = progress.add_task(queue[0].title, total=total)
            before = 0.0
            for stage in queue:
                progress.update(bar, description=stage.title, completed=before)
                kept, start = stage.is_done(), time.monotonic()

                def advance(
                    share: float, before: float = before, stage: Stage = stage
                ) -> None:
                    progress.update(bar, completed=before + share * stage.seconds)

                stage.run(advance, stop)
                before += stage.seconds
                took = "kept" if kept else f"{time.monotonic() - start:.0f} s"
                progress.console.print(f"{stage.title}: {took}")

        with ThreadPoolExecutor(len(queues)) as pool:
            runs = [pool.submit(run, queue) for queue in queues]
            try:
                finished, _ = wait(runs, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()
            for future in finished:
                future.result()


def run_as_ready(stages: Sequence[Stage], jobs: int, console: Console) -> None:
    """Run stages, each once the one before it has finished, and show how far they are.

    Those that most work waits for begin first. When one fails, those after it are left
    out and all others run.

    Args:
        stages (Sequence[Stage]): In any order; those that they come after run too.
        jobs (int): How many run at once, each on one thread.
        console (Console): Where the progress is shown.

    Raises:
        StageError: If stages failed, at the end; it names them all.
    """
    ahead = dict.fromkeys(stages, 0.0)  # seconds until all that waits for it is done
    for stage in stages:
        seconds, link = 0.0, stage
        while link:
            seconds += link.seconds
            ahead[link] = max(ahead.get(link, 0.0), seconds)
            link = link.after
    waiting = sorted(ahead, key=ahead.__getitem__, reverse=True)
    done: set[Stage] = set()
    running: dict[Future[None], Stage] = {}
    errors: list[str] = []
    stop = threading.Event()
    with (
        _progress_of_stages(console) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def run(stage: Stage) -> None:
            kept, start = stage.is_done(), time.monotonic()
            bar = progress.add_task(stage.title, total=1.0)
            try:
                stage.run(lambda share: progress.update(bar, completed=share), stop)
            finally:
                progress.remove_task(bar)
            took = "kept" if kept else f"{time.monotonic() - start:.0f} s"
            progress.console.print(f"{stage.title}: {took}")

        try:
            while True:
                ready = [s for s in waiting if s.after is None or s.after in done]
                for stage in ready[: jobs - len(running)]:
                    waiting.remove(stage)
                    running[pool.submit(run, stage)] = stage
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    stage = running.pop(future)
                    try:
                        future.result()
                        done.add(stage)
                    except StageError as error:
                        errors.append(str(error))
                        progress.console.print(str(error), soft_wrap=True)
        finally:
            stop.set()
    if errors:
        raise StageError("; ".join(errors))


def _progress_of_stages(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<38}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
    )


def last_iteration(log: Path, tail: int = 20000) -> tuple[int, int]:
    """Read how far a run is from the end of its log.

    Args:
        log (Path): The log of tools/train.py or tools/test.py.
        tail (int): Bytes to look at. Defaults to 20000.

    Returns:
        tuple[int, int]: The last iteration and their number; (0, 1) at the start.
    """
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - tail))
        found = ITERATION.findall(file.read())
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 1)
