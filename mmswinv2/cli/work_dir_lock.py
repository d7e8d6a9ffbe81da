"""One run that writes into a folder at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from mmengine.logging import print_log

NAME = ".train_lock"
BEAT = 5.0  # seconds between signs of life in the file
HELD = (errno.EAGAIN, errno.EACCES)  # what POSIX has for a lock of another process
WITHOUT = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)

CLOSED = -1  # in place of an open file


class WorkDirLock:
    """Refuses a folder in which another run works; a context around the run.

    The lock is POSIX's, which the system takes from a process that dies and does not
    hand to its children, so that workers of a killed run do not keep it. The file says
    who has it. Where a lock may not reach, on file systems without any and between
    hosts, an owner lives while it touches the file every few seconds.

    Args:
        work_dir (str | Path): Of the run; made if it is not there.
        active (bool): Whether this is the process that locks. Defaults to True.
        work (str): What a run does there. Defaults to 'trains'.
        option (str): That names the folder. Defaults to '--work-dir'.

    Raises:
        RuntimeError: Another run works there.
    """

    def __init__(
        self,
        work_dir: str | Path,
        *,
        active: bool = True,
        work: str = "trains",
        option: str = "--work-dir",
    ) -> None:
        self.path = Path(work_dir) / NAME
        self.active, self.work, self.option = active, work, option
        self._file = CLOSED
        self._over = Event()
        self._heart = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> WorkDirLock:
        if self.active:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                if error.errno not in UNWRITABLE:
                    raise
                self._warn(error)
            else:
                try:
                    self._take()
                except BaseException:
                    os.close(self._file)
                    raise
        return self

    def __exit__(self, *_: Any) -> None:
        if self._file != CLOSED:
            self._over.set()
            if self._heart.is_alive():
                self._heart.join()
                os.ftruncate(self._file, 0)  # nobody's
            os.close(self._file)
            self._file = CLOSED

    def _take(self) -> None:
        reaches = self._lock()
        owner, host = self._owner(), socket.gethostname()
        if owner and not (reaches and owner.get("host") == host):
            if self._beats(owner):
                self._refuse(f"it touches {self.path} every {BEAT:g} s")
            self._lock()  # again: POSIX drops it with the first close of the file
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        text = json.dumps(dict(host=host, process=os.getpid(), since=now))
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text.encode(), 0)
        except OSError as error:  # a full disk: the lock holds without its name
            self._warn(error)
        self._heart.start()

    def _lock(self) -> bool:
        """Takes the lock; False where the file system has none."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in HELD:
                self._refuse("it holds the lock of this folder")
            if error.errno not in WITHOUT:
                raise
            self._warn(error)
            return False
        return True

    def _owner(self) -> dict:
        """Who wrote the file last; nobody after a run that came to its end."""
        text = os.pread(self._file, 4096, 0)
        try:
            owner = json.loads(text or "{}")
        except ValueError:  # cut, by a kill or a full disk
            owner = None
        return owner if isinstance(owner, dict) else {"host": "?"}

    def _beats(self, owner: dict) -> bool:
        """Whether somebody touches the file; clocks of two hosts may differ."""
        text = f"{self.path} is of {_name(owner)}: looking for signs of life"
        print_log(text, "current")
        seen, end = self._touched(), time.monotonic() + 2.5 * BEAT
        while time.monotonic() < end:
            time.sleep(BEAT / 5)
            if self._touched() != seen:
                return True
        return False

    def _touched(self) -> int:
        with self.path.open("rb") as file:  # NFS looks anew when a file is opened
            return os.fstat(file.fileno()).st_mtime_ns

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            os.utime(self._file)

    def _refuse(self, proof: str) -> None:
        raise RuntimeError(
            f"another run {self.work} in {self.path.parent}: {_name(self._owner())}; "
            f"{proof}. Give this run a folder of its own with {self.option}, or end "
            "that process first"
        )

    def _warn(self, error: OSError) -> None:
        print_log(
            f"{self.path.parent} cannot be locked ({error.strerror}): see that no "
            f"other run {self.work} there",
            "current",
            logging.WARNING,
        )


def _name(owner: dict) -> str:
    process, host = owner.get("process", "?"), owner.get("host", "?")
    return f"process {process} on {host}, since {owner.get('since', '?')}"
