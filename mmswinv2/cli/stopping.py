"""Ctrl-C that lets what is being made be finished."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asks_to_stop(what: str) -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C or SIGTERM is a wish, and the second ends at once.

    Args:
        what (str): Will happen after the first, for the user.

    Yields:
        Callable[[], bool]: Whether it has come.
    """
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # print must not be entered twice
        os.write(2, f"\n{what}; Ctrl-C again ends at once\n".encode())

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
