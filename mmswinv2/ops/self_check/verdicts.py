"""Verdicts on kernels on disk: one small file per kernel and circumstances."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from mmengine.logging import print_log

from .child import LIMIT
from .circumstances import Facts


class Kept(NamedTuple):
    """A verdict as it was read: the reason of a refusal, None if it is proven."""

    reason: str | None


def folder() -> Path:
    """Where verdicts are kept; ``MMSWINV2_HOME`` and ``XDG_CACHE_HOME`` move it.

    Raises:
        RuntimeError: If the user has no home.
    """
    home = os.environ.get("MMSWINV2_HOME")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home or Path(base) / "mmswinv2").expanduser().absolute() / "kernels"


def file_of(facts: Facts) -> Path:
    """Where the verdict under these circumstances lies.

    Raises:
        RuntimeError: If the user has no home.
    """
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    name = "-".join(str(facts[key]) for key in ("kernel", "dtype", "channels"))
    return folder() / f"{name}-{digest}.json"


def read(facts: Facts) -> Kept | None:
    """The verdict kept; None where there is none or its file is damaged."""
    try:
        content = json.loads(file_of(facts).read_text())
        is_over = content["until"] is not None and content["until"] < time.time()
        is_reason = isinstance(content["reason"], str | None)
        if content["facts"] == facts and is_reason and not is_over:
            return Kept(content["reason"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        pass
    return None


def write(facts: Facts, reason: str | None, *, for_an_hour: bool = False) -> None:
    """Keep a verdict, or say that this is not possible."""
    until = time.time() + 3600 if for_an_hour else None
    content = json.dumps({"facts": facts, "reason": reason, "until": until}, indent=1)
    try:
        file = file_of(facts)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_text(content)
        part.replace(file)
    except (OSError, RuntimeError) as error:
        _say_not_kept(str(error))


@cache
def _say_not_kept(error: str) -> None:
    print_log(
        f"The verdict on the kernels is not kept ({error}); the next run checks them "
        "again",
        logger="current",
    )


@contextmanager
def alone(facts: Facts) -> Iterator[None]:
    """Wait until no other process checks the same, as far as files can be locked."""
    lock = None
    try:
        file = file_of(facts)
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.with_suffix(".lock"))
        lock.acquire(timeout=LIMIT + 60)
    except (OSError, RuntimeError):  # among them Timeout and NotImplementedError
        lock = None
    try:
        yield
    finally:
        if lock:
            lock.release()
