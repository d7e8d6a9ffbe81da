"""How a data loader gets its samples; seeds are tested with whole runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import ROOT

KILLED = """
import os, signal, sys
import torch
from torch.utils.data import DataLoader, Dataset
from mmswinv2.datasets.fetch import use_fetch

class Samples(Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        return "x" * 100_000  # more than a pipe takes

loader = DataLoader(Samples(), num_workers=2, batch_size=4, prefetch_factor=8)
use_fetch(loader)
batches = iter(loader)
next(batches)
print(*(worker.pid for worker in batches._workers), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def state(pid):
    """As Linux has it: Z is dead, and its first process may take a while to see it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the workers")
def test_workers_of_a_killed_run_are_gone():
    """Torch's own would stay, with all that they have read."""
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        text=True,
    )
    workers = {int(pid) for pid in run.stdout.readline().split()}
    assert run.wait() == -signal.SIGKILL
    assert len(workers) == 2
    for _ in range(100):
        alive = {pid for pid in workers if state(pid) not in ("", "Z")}
        if not alive:
            break
        time.sleep(0.1)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert not alive
