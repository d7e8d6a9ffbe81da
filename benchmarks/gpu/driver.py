"""Measures in one call what needs a GPU; see ``benchmarks/gpu.sh``.

Every section is a process with a time limit; what it has measured is kept cell by cell.
A section that fails, dies or runs out of time leaves all others as they are. A second
call into the same folder goes on where the first was.

Examples:
    $ bash benchmarks/gpu.sh
    $ bash benchmarks/gpu.sh --minutes 30 --out results
    $ bash benchmarks/gpu.sh --device cpu --smoke
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from record import blame, forget_work, read
from report import summary, write_report

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"
CACHE = "cache"  # beside the results until all are there


class Section(NamedTuple):
    """A script beside this one.

    Attributes:
        name (str): Of the script and of its JSON file.
        title (str): Its heading in the report.
        share (float): Its part of the time; what it leaves goes to those after it.
    """

    name: str
    title: str
    share: float


# The most valuable first: time may run out.
SECTIONS = (
    Section("roof", "Roof and compilation", 45),
    Section("correctness", "Correctness", 60),
    Section("attention_operator", "Attention operator", 65),
    Section("residual_norm", "Residual norm", 20),
    Section("eager", "Eager backbones", 90),
    Section("compiled", "Compiled backbones", 190),
    Section("loss_curves", "Loss curves", 50),
    Section("coco_sizes", "COCO sizes", 40),
    Section("graph_and_profile", "CUDA graph and profiler", 40),
)


def run_process(command: list, log: Path, limit: float, env: dict) -> int | None:
    """Run a command and all that it starts, for ``limit`` seconds at most.

    Returns:
        int | None: Its exit status; None if it ran out of time.
    """
    with log.open("a") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=env, start_new_session=True
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:  # also when this one is stopped
            with suppress(ProcessLookupError):  # where nothing is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_section(
    section: Section, args: argparse.Namespace, machine: dict, seconds: float
) -> str:
    """Run a section, again behind every cell that ends its process.

    Returns:
        str: How it ended.
    """
    file = args.out / f"{section.name}.json"
    log = args.out / f"{section.name}.log"
    command = [sys.executable, FOLDER / f"{section.name}.py"]
    command += ["--device", args.device, "--out", file, *["--smoke"] * args.smoke]
    end = time.monotonic() + seconds
    while True:
        status = run_process(command, log, end - time.monotonic(), environment(args))
        if status is None:
            forget_work(file)
            return "time ran out"
        if status == 0:
            return "done"
        reason = describe(status, log)
        if not blame(file, reason, machine) or time.monotonic() > end:
            return reason


def describe(status: int, log: Path) -> str:
    """Why a process ended, from its exit status and last line."""
    if status < 0:
        return f"the process was killed by {signal.Signals(-status).name}"
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"the process ended with status {status}: {(lines or [''])[-1][:200]}"


def environment(args: argparse.Namespace) -> dict:
    """Caches of compilers that are this folder's, so that a first call is one."""
    found = {
        "PYTHONUNBUFFERED": "1",  # the log is whole when the process is killed
        "PYTHONFAULTHANDLER": "1",
        "TRITON_CACHE_DIR": str(args.out / CACHE / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(args.out / CACHE / "inductor"),
    }
    if args.device == "cpu":
        found["TRITON_INTERPRET"] = "1"  # read where kernels are defined
    return found | os.environ


def probe(device: str) -> dict:
    """What the machine is, asked of another process, which holds no memory after.

    Raises:
        RuntimeError: If there is no such device, or no torch.
    """
    command = [sys.executable, FOLDER / "machine.py", device]
    asked = subprocess.run(command, capture_output=True, text=True)
    if asked.returncode:
        raise RuntimeError(asked.stderr.strip().splitlines()[-1])
    return json.loads(asked.stdout.splitlines()[-1])


def check_folder(out: Path, machine: dict) -> None:
    """Refuse to mix results.

    Raises:
        ValueError: If the folder's are from another machine or of other sizes.
    """
    for section in SECTIONS:
        before = read(out / f"{section.name}.json")["machine"] or machine
        for fact in ("name", "torch", "triton", "smoke"):
            if before[fact] != machine[fact]:
                raise ValueError(
                    f"{out} holds results with {fact} = {before[fact]}, and here it is "
                    f"{machine[fact]}; give another --out"
                )


def run_all(args: argparse.Namespace, machine: dict) -> None:
    """Run what is left; a section's limit is its share of the time that is left."""
    end = time.monotonic() + 60 * args.minutes
    files = {section: args.out / f"{section.name}.json" for section in SECTIONS}
    left = [section for section, file in files.items() if not read(file)["complete"]]
    for count, section in enumerate(left):
        begin = time.monotonic()
        shares = sum(other.share for other in left[count:])
        seconds = max(end - begin, 0) * section.share / shares
        print(f"{section.title}: at most {seconds:.0f} s ... ", end="", flush=True)
        ended = run_section(section, args, machine, seconds)
        print(f"{ended} after {time.monotonic() - begin:.0f} s", flush=True)
    if all(read(file)["complete"] for file in files.values()):
        shutil.rmtree(args.out / CACHE, ignore_errors=True)


def main() -> None:
    """Run the command line; the exit status is 1 if a result is wrong."""
    parser = argparse.ArgumentParser(
        prog="gpu.sh", description=__doc__.splitlines()[0], epilog=f"Into {RESULTS}."
    )
    parser.add_argument("--minutes", type=float, default=10, help="for all sections")
    parser.add_argument("--out", type=Path, help="default: <name of the GPU> there")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--smoke", action="store_true", help="tiny: checks the way")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        machine = probe(args.device) | {"smoke": args.smoke}
        name = re.sub(r"\W+", "-", machine["name"].lower()) + "-smoke" * args.smoke
        args.out = (args.out or RESULTS / name).resolve()
        args.out.mkdir(parents=True, exist_ok=True)
        check_folder(args.out, machine)
    except (RuntimeError, ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{machine['name']}, torch {machine['torch']}: into {args.out}", flush=True)
    try:
        run_all(args, machine)
    finally:
        counts = write_report(args.out, {s.name: s.title for s in SECTIONS}, machine)
        print(f"{summary(counts)}: {args.out / 'report.md'}")
    sys.exit(counts["wrong"] > 0)


if __name__ == "__main__":
    main()
