"""The memory that a pass takes at its peak."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import Any

import torch

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): VmHWM becomes what is in use


class PeakMemory:
    """Measures while it lasts.

    On a GPU it is what PyTorch had allocated at most, weights included; elsewhere, what
    the process has grown by at most, as Linux counts it.

    Args:
        device (torch.device): Of the model.

    Attributes:
        bytes (int, optional): The peak, once it is over; None where the system does not
            tell.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return self
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)  # what earlier passes left counts as free
        self.before = None
        with contextlib.suppress(OSError, KeyError):
            REFERENCES.write_text(RESET_PEAK)
            self.before = _status()["VmRSS"]
        return self

    def __exit__(self, *_: Any) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        elif self.before is not None:
            self.bytes = max(0, _status()["VmHWM"] - self.before)


def _status() -> dict[str, int]:
    """Bytes by the names of proc(5)."""
    rows = (line.split() for line in STATUS.read_text().splitlines())
    return {row[0][:-1]: int(row[1]) * 1024 for row in rows if row[2:] == ["kB"]}
