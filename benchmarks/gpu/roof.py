"""Rates that no kernel beats on this machine, and what compiling ours costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from measuring import take_turns
from record import Case, Table
from section import NEEDS_GPU, arguments, open_record

RATE = "rate"
PROCESSES = 15  # at most; each holds a context on the GPU
KERNELS = "kernels"
# What later sections need, the default first: type, window, channels of a head. Every
# window has tiles that those before it have not; others share the kernels.
WINDOWS = [(16, 16), (8, 8), (12, 12), (14, 14), (7, 7)]
KINDS = {
    f"{dtype}, window {window[0]} x {window[1]}, {channels} channels": (
        dtype, window, channels,
    )
    for dtype in ("bfloat16", "float16", "float32")
    for window, channels in [
        *((window, 32) for window in WINDOWS), ((12, 12), 16), ((12, 12), 64)
    ]
}  # fmt: skip


def copy(megabytes: int) -> Callable[[str], tuple[Callable, float]]:
    """Of one buffer to another, in GB read and written."""

    def prepare(device: str) -> tuple[Callable, float]:
        source = torch.ones(megabytes * 2**20, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        return lambda: target.copy_(source), 2 * source.nbytes / 1e9

    return prepare


def product(side: int, dtype: torch.dtype) -> Callable[[str], tuple[Callable, float]]:
    """Of two square matrices, in TFLOP."""

    def prepare(device: str) -> tuple[Callable, float]:
        a = torch.randn(side, side, device=device).to(dtype)
        return lambda: a @ a, 2 * side**3 / 1e12

    return prepare


def rates(smoke: bool) -> dict[str, Callable]:
    """What is measured, by name with the unit."""
    memory, side = (16, 256) if smoke else (1024, 8192)
    types = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    found = {"copy in device memory, GB/s": copy(memory)}
    for name, dtype in types.items():
        found[f"product of matrices in {name}, TFLOP/s"] = product(side, dtype)
    return found


def measure_rate(case: Case, prepare: Callable, args: Namespace) -> None:
    """Work over the median time."""
    for name in case.contenders():
        with case.attempt(name):
            step, work = prepare(args.device)
            options = dict(rounds=3 if args.smoke else 20, seconds=2)
            for times in take_turns(
                case, {name: step}, args.device, **options
            ).values():
                ms = times.wall if times.gpu is None else times.gpu
                case.put(name, RATE, 1e3 * work / ms)


def compile_all(table: Table, args: Namespace) -> None:
    """All kinds of kernels, each in a process of its own, many at a time.

    A compiler that dies takes no other down, and the cache that they fill is that of
    all later sections.
    """
    if args.device == "cpu":
        for case in table.pending():
            case.skip(KERNELS, NEEDS_GPU)
        return
    workers = max(min(PROCESSES, (os.cpu_count() or 2) - 1), 1)
    with ThreadPoolExecutor(workers) as pool:
        jobs = {name: pool.submit(compile_kind, *KINDS[name]) for name in table.cases}
        for case in table.pending():
            if KERNELS not in case.contenders():
                continue
            with case.attempt(KERNELS):
                found = jobs[case.name].result()
                case.put(KERNELS, "kernels", len(found))
                case.put(KERNELS, "seconds", sum(seconds for _, seconds in found))
                slowest, seconds = max(found, key=lambda kernel: kernel[1])
                case.put(KERNELS, "slowest", f"{slowest}, {seconds:.1f} s")


def compile_kind(
    dtype: str, window: tuple[int, int], channels: int
) -> list[tuple[str, float]]:
    """Names and seconds of the kernels of one type, window and width of heads."""
    script = Path(__file__).with_name("compile_kind.py")
    command = [sys.executable, script, dtype, *map(str, (*window, channels))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(lines[-1])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the command line."""
    args = arguments()
    found = rates(args.smoke)
    machine = Table(
        "Rates of the machine",
        "Median of 20; a copy counts what it reads and what it writes.",
        cases=found,
        contenders=[RATE],
        quantities=[RATE],
    )
    compilation = Table(
        "Compilation of the attention kernels",
        f"Forward and backward of one small map in a new process, up to {PROCESSES} at "
        "a time; seconds are the sum over the kernels.",
        cases=KINDS,
        contenders=[KERNELS],
        quantities=("kernels", "seconds", "slowest"),
    )
    record = open_record(args, [machine, compilation])
    for case in machine.pending():
        measure_rate(case, found[case.name], args)
    compile_all(compilation, args)
    record.finish()


if __name__ == "__main__":
    main()
