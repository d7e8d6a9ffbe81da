"""Run cases in another process, which may die or hang."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType

from outcomes import Kind, Outcome, refusal

_CONTEXT = multiprocessing.get_context("forkserver")


class Isolation:
    """A process that runs one case after the other, replaced when it has died.

    Args:
        seconds (float): Time that a case may take.

    Examples:
        >>> with Isolation(seconds=20) as isolated:
        ...     outcome = isolated(read_case, path, case="bit 7 of byte 100 flipped")
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Isolation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def __call__(
        self, function: Callable[..., Outcome], *arguments: object, case: str
    ) -> Outcome:
        """The outcome of ``function(*arguments)``, which runs there.

        Args:
            function (Callable): Of a module that the process can import.
            *arguments (object): Whatever can be pickled.
            case (str): Names the outcome where the function cannot.
        """
        if self._process is None:
            self._connection, other = _CONTEXT.Pipe()
            self._process = _CONTEXT.Process(target=_serve, args=(other,))
            self._process.start()
            other.close()
        self._connection.send((function, arguments, case))
        try:
            if self._connection.poll(self.seconds):
                return self._connection.recv()
            outcome = Outcome(Kind.HANG, case, f"over {self.seconds:g} s")
        except EOFError:
            self._process.join()
            outcome = Outcome(Kind.CRASH, case, f"exit code {self._process.exitcode}")
        self._end()
        return outcome

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None


def _serve(connection: Connection) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries say of thousands of faults
        os.dup2(nowhere, stream)
    while True:
        try:
            function, arguments, case = connection.recv()
        except EOFError:
            return
        try:
            outcome = function(*arguments)
        except Exception as error:
            outcome = refusal(error, case)
        connection.send(outcome)
