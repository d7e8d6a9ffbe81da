"""Time of several contenders that take turns, by three clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from record import Case

Step = Callable[[], object]
LEAD = 30e-6  # s; no GPU writes FLUSH_BYTES faster
FLUSH_BYTES = 2**28  # more than any L2 cache holds


class Times(NamedTuple):
    """Of one step, in ms.

    Attributes:
        gpu (float, optional): Between events, with launches queued ahead: what kernels
            take.
        wall (float): From the call until its results are there, alone: what a user
            waits.
        host (float, optional): Until the call returns.
    """

    gpu: float | None
    wall: float
    host: float | None


class _Gpu:
    def __init__(self) -> None:
        self.flush = torch.empty(FLUSH_BYTES, dtype=torch.int8, device="cuda")

    def __call__(self, step: Step) -> Times:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        step()
        host = time.perf_counter() - begin
        torch.cuda.synchronize()
        wall = time.perf_counter() - begin
        # Empties L2, and keeps the GPU busy for as long as the host needs to launch.
        for _ in range(2 + int(min(host, 0.5) / LEAD)):
            self.flush.zero_()
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        stop.record()
        torch.cuda.synchronize()
        return Times(start.elapsed_time(stop), 1e3 * wall, 1e3 * host)


def _cpu(step: Step) -> Times:
    begin = time.perf_counter()
    step()
    return Times(None, 1e3 * (time.perf_counter() - begin), None)


def take_turns(
    case: Case, steps: dict[str, Step], device: str, *, rounds: int, seconds: float
) -> dict[str, Times]:
    """Medians of every contender; one that fails is left out and written down.

    Args:
        case (Case): Where failures are written.
        steps (dict[str, Callable]): What each contender does; it has run before, so
            nothing is left to compile.
        device (str): 'cuda' or 'cpu'.
        rounds (int): Turns that are measured, at most.
        seconds (float): No round begins after these, from the third on; the first is
            not measured on a GPU.
    """
    steps = dict(steps)
    clock = _Gpu() if device == "cuda" else _cpu
    taken: dict[str, list[Times]] = {name: [] for name in steps}
    warm_up = int(device == "cuda")
    end = time.monotonic() + seconds
    for turn in range(warm_up + rounds):
        if turn >= warm_up + 2 and time.monotonic() > end:
            break
        for name, step in [*steps.items()]:
            try:
                times = clock(step)
            except Exception as error:
                del steps[name], taken[name]
                case.fail(name, error)
                continue
            if turn >= warm_up:
                taken[name].append(times)
    return {name: _median(own) for name, own in taken.items()}


def _median(own: list[Times]) -> Times:
    return Times(*(None if None in column else median(column) for column in zip(*own)))
