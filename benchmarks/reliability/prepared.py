"""A process that has imported everything, and forks a training run for each line.

A line is JSON: the arguments of tools/train.py, a file for all output, and where to
die. The answer is the exit status and the seconds it took, or minus the signal.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "tools" / "train.py"
SAVING = (".pth", "last_checkpoint")  # in names of the files that count


class Death:
    """SIGKILL after some seconds, or some after the n-th act on files of checkpoints.

    Acts are opening, renaming and removing, as Python's audit events tell them.
    """

    def __init__(self, seconds: float, acts: int) -> None:
        self.seconds, self.left = seconds, acts
        if acts:
            sys.addaudithook(self.see)
        else:
            self.start()

    def see(self, event: str, arguments: tuple) -> None:
        """One more event."""
        writes = event in ("os.rename", "os.remove") or (
            event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if writes and any(word in str(arguments[0]) for word in SAVING):
            self.left -= 1
            if self.left == 0 and os.getpid() == PROCESS:
                self.start()

    def start(self) -> None:
        """Dies, now or soon."""
        if not self.seconds:
            self.die()
        timer = threading.Timer(self.seconds, self.die)
        timer.daemon = True
        timer.start()

    def die(self) -> None:
        """As if somebody had pulled the plug."""
        os.kill(os.getpid(), signal.SIGKILL)


def train(arguments: list[str], out: str, death: dict | None) -> None:
    """The run; does not come back."""
    global PROCESS
    PROCESS = os.getpid()
    os.setsid()
    log = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(Path(out).parent)
    if death:
        Death(**death)
    sys.argv = [str(TRAIN), *arguments]
    code = 0
    try:
        runpy.run_path(str(TRAIN), run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Serve until standard input ends."""
    sys.path.insert(0, str(ROOT))
    import mmseg.apis  # noqa: F401

    import mmswinv2.cli.interruption
    import mmswinv2.engine  # noqa: F401

    for line in sys.stdin:
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            train(**json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([status, time.perf_counter() - start]), flush=True)


if __name__ == "__main__":
    main()
