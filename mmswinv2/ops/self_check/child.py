"""A check in a subprocess: a crash, a hang or a broken GPU context stays there."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from .compare import WrongResultError

LIMIT = 300  # seconds
ROOT = Path(__file__).resolve().parents[3]  # of the package
# What tells a process that it is one of several.
LAUNCH = {
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    *("GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
}
LAUNCHERS = ("TORCHELASTIC_", "SLURM_", "OMPI_", "PMI_", "PMIX_")
# Sent by people, schedulers and kernels that run out of memory: not the check's fault.
FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
READY = "ready"


class Answer(NamedTuple):
    """What a check found out.

    Attributes:
        reason (str | None): Why the kernel is not to be used; None: it is right.
        holds (str): 'always', for an 'hour' (so that not every rank waits), for this
            'run' only, or 'now': for this call only.
    """

    reason: str | None
    holds: Literal["always", "hour", "run", "now"] = "always"


def ask(
    target: str, device: torch.device, dtype: torch.dtype, channels: int
) -> Answer | None:
    """Run a check in a subprocess.

    Args:
        target (str): 'module:function' of the check.
        device (torch.device): The subprocess sees the same devices as this one.
        dtype (torch.dtype): See :func:`.decide.refusal`.
        channels (int): Likewise.

    Returns:
        Answer | None: None if the subprocess could not use the device at all.
    """
    # An executable that holds a whole program would start that program again.
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    command = [sys.executable, "-m", __package__, target]
    command += [str(device), str(dtype).removeprefix("torch."), str(channels)]
    try:
        process = subprocess.Popen(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that its compilers can be ended with it
        )
    except OSError:
        return None
    in_time = True
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        in_time = False
        out, err = _end(process)
    except BaseException:
        _end(process)
        raise
    lines = out.splitlines()
    if READY not in lines:
        return None
    if lines[-1] != READY:
        answer = json.loads(lines[-1])
        if answer and re.search(r" ended with status \d+$", answer["reason"] or ""):
            answer["reason"] += f": {_telling_line(err)}"
        return Answer(**answer) if answer else None
    if not in_time:
        return Answer(f"its check did not end within {LIMIT} s", "hour")
    return _crash(process.returncode, err)


def _end(process: subprocess.Popen) -> tuple[str, str]:
    """End a subprocess and those it started; returns what they have printed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=10)
    except subprocess.TimeoutExpired as error:  # it hangs within the GPU's driver
        return (error.output or b"").decode(), ""


def _environment() -> dict[str, str]:
    """As here, importing what is imported here, but not as one of several ranks."""
    here = {
        name: value
        for name, value in os.environ.items()
        if name not in LAUNCH and not name.startswith(LAUNCHERS)
    }
    path = [folder or os.getcwd() for folder in (*sys.path, str(ROOT))]
    return {**here, "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}


def _telling_line(err: str) -> str:
    """Compilers say what is wrong first, and then print all they have."""
    lines = [line.strip() for line in err.splitlines() if line.strip()] or ["no output"]
    telling = (x for x in lines if re.search("error:|assertion", x, re.IGNORECASE))
    return next(telling, lines[-1])[:300]


def _crash(code: int, err: str) -> Answer:
    line = _telling_line(err)
    if code >= 0:
        return Answer(f"its check ended with exit code {code}: {line}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    reason = f"its check was ended by {name}: {line}"
    return Answer(reason, "run" if -code in FROM_OUTSIDE else "always")


def main() -> None:
    """The subprocess: one line when the device works, one with the answer."""
    target, device_name, dtype, channels = sys.argv[1:]
    signal.alarm(LIMIT + 60)  # should the process that asked be gone
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # compilers print what they like
        device = torch.device(device_name)
        torch.ones(1, device=device).sum().item()
        print(READY, file=answers, flush=True)
        try:
            answer = {"reason": check(target, device, getattr(torch, dtype), channels)}
        except torch.cuda.OutOfMemoryError:  # other processes have it
            answer = {}
        print(json.dumps(answer), file=answers, flush=True)


def check(
    target: str, device: torch.device, dtype: torch.dtype, channels: int | str
) -> str | None:
    """Run a check in this thread and say why it failed, if it did."""
    module, _, function = target.partition(":")
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        run = getattr(importlib.import_module(module), function)
        run(device, dtype, int(channels))
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return f"its check failed: {explain(error)}"
    return None


def explain(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, WrongResultError):
        return str(error)
    if isinstance(error, subprocess.CalledProcessError):
        program = error.cmd if isinstance(error.cmd, str) else Path(error.cmd[0]).name
        return f"{program} ended with status {error.returncode}"[:300]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # Triton's compiler begins with the place, 'at 12:4:', and ends with the reason.
    line = lines[-1 if re.match(r"at \d+:\d+:", lines[0]) else 0]
    return f"{type(error).__name__}: {line}"[:300]
