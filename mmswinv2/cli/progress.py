"""How far a large picture or a film is: a bar on a terminal, else a line at times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
def progress_bar(
    name: str, console: Console, *, unit: str
) -> Iterator[Callable[[int, int | None], None]]:
    """Shows the tiles of a picture, or the frames of a film.

    Args:
        name (str): Of the picture or film.
        console (Console): Where to.
        unit (str): What is counted.

    Yields:
        Callable: Takes how many are done, of how many, None where that is not known.
    """
    said = time.monotonic()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
    )
    columns += (TextColumn(unit), TimeRemainingColumn(compact=True))
    shown = console.is_terminal
    with Progress(
        *columns, console=console, transient=True, disable=not shown
    ) as progress:
        tasks = []

        def show(done: int, total: int | None) -> None:
            nonlocal said
            tasks[:] = tasks or [progress.add_task(name, total=total)]
            progress.update(tasks[0], completed=done, total=total)
            now = time.monotonic()
            if not shown and now - said > EVERY:
                said = now
                of = "" if total is None else f" of {total}"
                text = f"{name}: {done}{of} {unit}"
                console.print(text, highlight=False, markup=False, soft_wrap=True)

        yield show
