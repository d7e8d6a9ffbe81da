"""One run trains in a work dir, and one that died leaves it to the next."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import DET, ROOT, Tool

from mmswinv2.cli import work_dir_lock
from mmswinv2.cli.work_dir_lock import NAME, WorkDirLock

RUN = """
import os, sys, time
from mmswinv2.cli.work_dir_lock import WorkDirLock
with WorkDirLock(sys.argv[1]):
    worker = os.fork()  # as that of a data loader
    if worker:
        print(worker, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> tuple[subprocess.Popen, int]:
    """Another run, and its worker, which outlives it."""
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as run:
        worker = int(run.stdout.readline())
        yield run, worker
        run.kill()
        os.kill(worker, signal.SIGKILL)


def test_a_second_run_is_refused_until_the_first_is_dead(
    other: tuple[subprocess.Popen, int], tmp_path: Path
) -> None:
    """It is told who trains there; a killed run's workers do not keep the folder."""
    run, worker = other
    with pytest.raises(RuntimeError, match=f"process {run.pid} on .*--work-dir"):
        WorkDirLock(tmp_path).__enter__()
    run.kill()
    run.wait()
    os.kill(worker, 0)  # it lives
    with WorkDirLock(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["process"] == os.getpid()
    assert not (tmp_path / NAME).read_text()


def test_training_refuses_and_testing_does_not_ask(
    other: tuple[subprocess.Popen, int],
    tool: Tool,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is written into the folder of another run, by srun alone neither."""
    monkeypatch.setenv("SLURM_PROCID", "1")
    before = {*tmp_path.iterdir()}
    options = ("--cfg-options", f"data_root={data / 'coco'}")
    message = tool.fails("tools/train.py", DET, "--work-dir", tmp_path, *options)
    assert f"another run trains in {tmp_path}: process {other[0].pid}" in message
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize("locks", [True, False])
def test_an_owner_elsewhere_lives_while_it_touches_the_file(
    locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system whose locks stay on their host, or that has none."""
    monkeypatch.setattr(work_dir_lock, "BEAT", 0.1)
    host = "elsewhere" if locks else os.uname().nodename
    owner = json.dumps(dict(host=host, process=7, since="1 May"))
    (tmp_path / NAME).write_text(owner)
    if not locks:

        def missing(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "lockf", missing)
    with WorkDirLock(tmp_path):  # no sign of life
        first = (tmp_path / NAME).stat().st_mtime_ns
        time.sleep(0.3)
        assert (tmp_path / NAME).stat().st_mtime_ns > first  # ours
        if not locks:
            with pytest.raises(RuntimeError, match=r"touches .* every 0\.1 s"):
                WorkDirLock(tmp_path).__enter__()
    beat = "import os, time\nprint(flush=True)\n"
    beat += f"while not time.sleep(0.03): os.utime('{NAME}')"
    (tmp_path / NAME).write_text(owner)
    command = [sys.executable, "-c", beat]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as alive:
        alive.stdout.readline()
        try:
            with pytest.raises(RuntimeError, match=f"process 7 on {host}, since 1 May"):
                WorkDirLock(tmp_path).__enter__()
        finally:
            alive.kill()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_locked_warns(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[str]
) -> None:
    """What cannot be written is told by what has to write there."""

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with WorkDirLock(tmp_path):
        assert f"cannot be locked ({os.strerror(code)})" in logs[0]


def test_a_name_that_a_kill_cut_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_dir_lock, "BEAT", 0.1)
    (tmp_path / NAME).write_text('{"host": "a", "proc')
    with WorkDirLock(tmp_path):
        pass
