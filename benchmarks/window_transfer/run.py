"""Compares three position biases when the window and the resolution grow.

Pre-trains a small Swin V2 at window 8 on generated scenes with each of three position
biases and several seeds, and tests it at windows 8 to 24, the resolution growing in
proportion, without and with fine-tuning: the shape of the paper's Table 1. Ends in a
table and a figure. Finished phases are kept: a second call goes on where the first was.

Examples:
    >>> python benchmarks/window_transfer/run.py --size cpu
    >>> python benchmarks/window_transfer/run.py --size gpu --out work_dirs/transfer-gpu
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # works uninstalled

import torch  # noqa: E402
from protocol import FINETUNE, PRETRAIN, SIZES, Phase, Size, phases, runs  # noqa: E402
from reporting import write_report  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402

POLL_SECONDS = 0.5


class RunError(Exception):
    """A run failed; the message tells which and why."""


def start_run(name: str, bias: str, seed: int, out: Path) -> subprocess.Popen:
    """Start all phases of a bias and a seed in a process of one thread."""
    folder = out / bias / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    one_thread = dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    script = Path(__file__).with_name("unit.py")
    options = ["--size", name, "--bias", bias, "--seed", str(seed), "--out", str(out)]
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, str(script), *options],
            env={**os.environ, **one_thread, "PYTHONPATH": paths},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def describe(phase: Phase, result: dict) -> str:
    """One line for a finished phase."""
    return (
        f"{phase.bias}, seed {phase.seed}, {phase.kind} at window {phase.window}: "
        f"mIoU {result['mIoU']:.1f}, box AP {result['AP']:.1f} "
        f"({result['seconds']:.0f} s)"
    )


def cost(phase: Phase, size: Size) -> float:
    """About how long a phase takes, in units of a picture of the smallest size."""
    pixels = (phase.window / 8) ** 2
    per_picture = pixels * (1 + pixels / 5)  # attention grows with the window as well
    number = size.test_scenes / 3  # a test has no backward pass
    if phase.kind in (PRETRAIN, FINETUNE):
        which = int(phase.kind == FINETUNE)
        number += size.steps[which] * size.batch[which]
    return per_picture * number


def run_all(name: str, out: Path, console: Console) -> None:
    """Run what is missing, some runs side by side, and show how far they are.

    Raises:
        RunError: If a run fails; the others are stopped first.
    """
    size = SIZES[name]
    missing = [
        phase
        for run in runs(size)
        for phase in phases(*run, size)
        if phase.result(out, size) is None
    ]
    waiting = list(dict.fromkeys((phase.bias, phase.seed) for phase in missing))
    running: dict[tuple[str, int], subprocess.Popen] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task(
                "window transfer", total=sum(cost(phase, size) for phase in missing)
            )
            while waiting or running or missing:
                while waiting and len(running) < size.workers:
                    run = waiting.pop(0)
                    running[run] = start_run(name, *run, out)
                ended = {run: p for run, p in running.items() if p.poll() is not None}
                for phase in list(missing):
                    if result := phase.result(out, size):
                        missing.remove(phase)
                        progress.console.print(describe(phase, result))
                        progress.advance(bar, cost(phase, size))
                for run, process in ended.items():
                    del running[run]
                    if process.returncode:
                        raise RunError(explain(*run, out))
                time.sleep(POLL_SECONDS)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def explain(bias: str, seed: int, out: Path) -> str:
    """What went wrong in a run, from the last line of its log."""
    log = out / bias / f"seed{seed}" / "log.txt"
    lines = log.read_text().strip().splitlines() or ["it ended without a word"]
    return f"{bias}, seed {seed} failed: {lines[-1]} (all of it: {log})"


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="cpu",
        help="cpu: two cores, under an hour; gpu: one GPU; smoke: shows that it runs",
    )
    parser.add_argument("--out", type=Path, help="work_dirs/window_transfer/SIZE")
    parser.add_argument(
        "--report", action="store_true", help="table and figure of what has finished"
    )
    args = parser.parse_args()
    if SIZES[args.size].device == "cuda" and not torch.cuda.is_available():
        print(
            f"run.py: error: --size {args.size} needs a GPU, and PyTorch sees none; "
            "take --size cpu",
            file=sys.stderr,
        )
        return 1
    out = args.out or ROOT / "work_dirs" / "window_transfer" / args.size
    console = Console(highlight=False, soft_wrap=True)
    # ended by another program, it ends its runs as on Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = 0
    try:
        if not args.report:
            run_all(args.size, out.resolve(), console)
    except RunError as error:
        print(f"run.py: error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        code = 130
    table = write_report(out, SIZES[args.size])
    if table is None:
        print("run.py: error: no phase has finished yet", file=sys.stderr)
        return code or 1
    console.print(f"{table.read_text()}\nwritten to {out}")
    return code


if __name__ == "__main__":
    sys.exit(main())
