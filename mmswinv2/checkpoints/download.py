"""Checkpoints of URLs, kept in a cache: fetched once per machine, checked always."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from mmengine.dist import barrier, is_distributed

from .checksums import sha256_of
from .connection import TransferError
from .files import read_file
from .transfer import CONSOLE, transfer, validator_file
from .urls import cache_name, shown

T = TypeVar("T")


def cache_folder() -> Path:
    """Where downloads are kept; ``MMSWINV2_HOME`` moves it."""
    home = os.environ.get("MMSWINV2_HOME")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home or Path(base) / "mmswinv2").expanduser().absolute() / "weights"


@dataclass(frozen=True)
class Copy:
    """A checkpoint at a URL, and its file in the cache.

    Attributes:
        url (str): An http(s) URL. Proxies are taken from the environment.
        file (Path): Where it is kept; folders are made. Nothing has this name that was
            not read in full and found right.
        sha256_prefix (str, optional): First hexadecimal digits of the file's SHA-256.
        check (Callable, optional): Raises ValueError over a checkpoint that is another
            than the one that is wanted.
    """

    url: str
    file: Path
    sha256_prefix: str | None = None
    check: Callable[[dict], object] | None = None

    def read(self, file: Path) -> dict:
        """The content of the file, under its own name or another.

        Raises:
            ValueError: If it is no checkpoint, damaged, or not the one that is wanted.
                The message begins with 'is' or 'has'.
        """
        found = sha256_of(file) if self.sha256_prefix else ""
        if self.sha256_prefix and not found.startswith(self.sha256_prefix):
            raise ValueError(
                f"has the SHA-256 {found[:16]}..., expected {self.sha256_prefix}...: "
                "it was damaged or replaced"
            )
        name = shown(self.url)
        try:
            content = read_file(file, name)
        except ValueError as error:
            reason = str(error).removeprefix(f"checkpoint {name!r} ")
            raise ValueError(reason) from error
        if self.check:
            self.check(content)
        return content


def load_url(url: str) -> tuple[Path, dict]:
    """Read the checkpoint of a URL, as :func:`load`.

    Its file is in :func:`cache_folder`, under a name that stands for the whole URL. No
    folder that other programs write to is looked at: torch's hub names files by the
    last part of their URLs, which many share.

    Raises:
        ValueError: Also if the URL names no file.
    """
    try:
        file = cache_folder() / cache_name(url)
    except ValueError as error:
        raise ValueError(f"checkpoint {shown(url)!r} {error}") from error
    return load(shown(url), [Copy(url, file)])


def load(name: str, copies: Sequence[Copy]) -> tuple[Path, dict]:
    """Read the first of some files that is in the cache, or else fetch one.

    What comes is read in full before its file gets its name. A file in the cache that
    is bad is moved aside, as ``<file>.bad``, and fetched anew. In a distributed run
    local rank 0 does this and the others read what it has found: all ranks have to call
    this.

    Args:
        name (str): What errors call it.
        copies (Sequence[Copy]): The preferred first. They are tried in order.

    Returns:
        tuple[Path, dict]: The file and its content, on the CPU.

    Raises:
        ValueError: If no server gives the checkpoint; the message has the reason of
            each and says which file to put where.
        RuntimeError: If the cache cannot be read or written.
    """
    try:
        found = once_per_machine(lambda: _find(name, copies))
        for copy in copies if found is None else ():
            if copy.file.is_file():
                return copy.file, _read_now(copy)
    except OSError as error:
        raise RuntimeError(
            f"{name} cannot be kept in {copies[0].file.parent} ({error}); make room or "
            "set MMSWINV2_HOME to another folder"
        ) from error
    if found is None:
        raise ValueError(
            f"{name} is not in {copies[0].file.parent}: local rank 0 could not fetch "
            "it, see its message"
        )
    return found


def once_per_machine(work: Callable[[], T]) -> T | None:
    """Let local rank 0 do some work, and all ranks go on when it has ended.

    Args:
        work (Callable): Called by local rank 0, or by a process that is alone. What it
            raises is raised there, after the others have been let go.

    Returns:
        What the work gives, on local rank 0; None on the others.
    """
    result, failure = None, None
    # mmengine sets LOCAL_RANK with all of its launchers
    if not is_distributed() or os.environ.get("LOCAL_RANK", "0") == "0":
        try:
            result = work()
        except Exception as error:
            failure = error
    barrier()
    if failure is not None:
        raise failure
    return result


def _find(name: str, copies: Sequence[Copy]) -> tuple[Path, dict]:
    for copy in copies:
        if copy.file.is_file() and (content := _read_cached(copy)) is not None:
            return copy.file, content
    failures = []
    for copy in copies:
        try:
            return copy.file, _fetch(copy)
        except TransferError as error:
            place = f"{shown(copy.url)} as {copy.file.name}"
            failures.append(f"\n  {place} ({error.reason})")
    raise ValueError(
        f"{name} could not be fetched; fetch one of these elsewhere and put it into "
        f"{copies[0].file.parent} (MMSWINV2_HOME moves that):" + ",".join(failures)
    )


def _read_cached(copy: Copy) -> dict | None:
    """What is in a file of the cache; None if it was bad and is no longer there."""
    try:
        return copy.read(copy.file)
    except (ValueError, FileNotFoundError):
        with _locked(copy.file):  # meanwhile another process may have mended it
            if not copy.file.is_file():
                return None
            try:
                return copy.read(copy.file)
            except ValueError as error:
                bad = copy.file.with_name(f"{copy.file.name}.bad")
                copy.file.replace(bad)
                CONSOLE.print(
                    f"{copy.file} {error}. It was moved to {bad.name} and is fetched "
                    "anew",
                    markup=False,
                    soft_wrap=True,
                )
                return None


def _read_now(copy: Copy) -> dict:
    """What is in a file that another process has just found right."""
    try:
        return copy.read(copy.file)
    except ValueError as error:
        raise ValueError(f"{copy.file} {error}") from error


def _fetch(copy: Copy) -> dict:
    """Bring a file into the cache.

    Raises:
        TransferError: If it cannot be fetched, or what comes is not the file.
    """
    if os.environ.get("MMSWINV2_OFFLINE", "0") not in ("", "0"):
        raise TransferError(copy.url, "not tried, MMSWINV2_OFFLINE is set")
    file = copy.file
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file):
        if file.is_file():  # another process was successful
            return _read_now(copy)
        part = file.with_suffix(f".part{file.suffix}")
        resumed = part.exists()
        while True:
            transfer(copy.url, part)
            try:
                content = copy.read(part)
                break
            except ValueError as error:
                part.unlink()
                if not resumed:
                    raise TransferError(copy.url, f"what came {error}") from error
                resumed = False  # the beginning of it may have been at fault
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(file)
        validator_file(part).unlink(missing_ok=True)
        return content


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """While this process alone may write a file."""
    lock = FileLock(file.with_name(f".{file.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        text = f"waiting for another process that fetches {file}"
        CONSOLE.print(text, markup=False, soft_wrap=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
