"""How far a long command is: a bar on a terminal, lines in a file."""

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
    TextColumn,
    TimeRemainingColumn,
)

EVERY = 30.0  # seconds between lines


@contextmanager
def progress(
    total: int, what: str, console: Console
) -> Iterator[Callable[[int], None]]:
    """Shows the speed and the time left.

    Args:
        total (int): That are left to do.
        what (str): They are, such as 'pictures'.
        console (Console): Where to.

    Yields:
        Callable: Takes how many more are done.
    """
    began = said = time.monotonic()
    done = 0
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn())
    columns += ("{task.fields[speed]}", TimeRemainingColumn(compact=True), "left")
    columns = [TextColumn(c) if isinstance(c, str) else c for c in columns]
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total, speed="")

        def advance(count: int) -> None:
            nonlocal done, said
            done += count
            now = time.monotonic()
            speed = done / max(now - began, 1e-9)
            bar.update(task, completed=done, speed=f"{speed:.1f}/s")
            if not console.is_terminal and now - said > EVERY:
                said = now
                left = timedelta(seconds=round((total - done) / speed))
                console.print(
                    f"{done:,} of {total:,} {what}, {speed:.1f}/s, {left} left",
                    highlight=False,
                    soft_wrap=True,
                )

        yield advance
