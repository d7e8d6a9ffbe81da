"""How far a large picture is: a bar on a terminal, else a line now and then."""

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
def tile_progress(name: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Shows the tiles of a picture.

    Args:
        name (str): Of the picture.
        console (Console): Where to.

    Yields:
        Callable: Takes how many tiles are done, of how many.
    """
    said = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    columns += (TextColumn("tiles"), TimeRemainingColumn(compact=True))
    shown = console.is_terminal
    with Progress(
        *columns, console=console, transient=True, disable=not shown
    ) as progress:
        tasks = []

        def show(done: int, total: int) -> None:
            nonlocal said
            tasks[:] = tasks or [progress.add_task(name, total=total)]
            progress.update(tasks[0], completed=done, total=total)
            now = time.monotonic()
            if not shown and now - said > EVERY:
                said = now
                text = f"{name}: {done} of {total} tiles"
                console.print(text, highlight=False, markup=False, soft_wrap=True)

        yield show
