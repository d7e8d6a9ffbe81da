"""How far a long piece of work is: a bar on a terminal, else a line at times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

EVERY = 30.0  # seconds between lines


@contextmanager
def progress_bar(
    name: str, console: Console, *, unit: str
) -> Iterator[Callable[[int, int | None], None]]:
    """Shows what is done, the speed and the time left.

    Args:
        name (str): Of the picture, film or whatever it is; may be empty.
        console (Console): Where to.
        unit (str): What is counted, such as 'frames'.

    Yields:
        Callable: Takes how many are done, of how many, None where that is not known.
    """
    began = said = time.monotonic()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + ", {task.fields[speed]}"),
        TimeRemainingColumn(compact=True),
    )
    shown = console.is_terminal
    with Progress(
        *columns, console=console, transient=True, disable=not shown
    ) as progress:
        tasks: list[TaskID] = []

        def show(done: int, total: int | None) -> None:
            nonlocal said
            now = time.monotonic()
            each = (now - began) / max(done, 1)  # seconds
            speed = f"{1 / max(each, 1e-9):.1f}/s"
            tasks[:] = tasks or [progress.add_task(name, total=total, speed="")]
            progress.update(tasks[0], completed=done, total=total, speed=speed)
            if not shown and now - said > EVERY:
                said = now
                text = f"{name}: " * bool(name) + f"{done:,}"
                if total is not None:
                    text += f" of {total:,}"
                text += f" {unit}, {speed}"
                if total is not None:
                    text += f", {timedelta(seconds=round((total - done) * each))} left"
                console.print(text, highlight=False, markup=False, soft_wrap=True)

        yield show
