"""What the commands that compare starts have in common."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from arms import Comparison
from gains import write_report
from rich.console import Console

from mmswinv2.cli.stages import StageError, run_as_ready
from mmswinv2.places import ROOT


def make_parser(
    doc: str, name: str, starts: Mapping[str, str]
) -> argparse.ArgumentParser:
    """A parser with the options that every such benchmark has.

    Args:
        doc (str): The command's docstring.
        name (str): The benchmark's, of the default folder of its runs.
        starts (Mapping[str, str]): What the table calls each start, in its order.
    """
    parser = argparse.ArgumentParser(
        description=doc.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a folder for each set"
    )
    parser.add_argument("--starts", nargs="+", choices=starts, default=list(starts))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--iterations", type=int, help="of the trainings, if not as the sets have it"
    )
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once")
    parser.add_argument(
        "--workers", type=int, default=0, help="that read pictures, of each training"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / name)
    return parser


def worker_options(workers: int) -> tuple[str, ...]:
    """Options of a config, in training, for processes that read pictures."""
    if not workers:
        return ()
    return (
        f"train_dataloader.num_workers={workers}",
        "train_dataloader.persistent_workers=True",
    )


def run_comparison(
    args: argparse.Namespace, plan: Callable[[argparse.Namespace], Comparison]
) -> int:
    """Run what is missing and write the report of what has finished.

    Args:
        args (argparse.Namespace): Of ``make_parser``; its paths are made absolute.
        plan (Callable): Writes manifests and configs, and plans the stages.

    Returns:
        int: The exit code.
    """
    # ended by another program, it ends its stages as on Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    args.data, args.out = args.data.resolve(), args.out.resolve()
    name, code, planned = args.out.name, 0, None
    try:
        planned = plan(args).of(args.starts)
        run_as_ready(planned.stages(), args.jobs, console)
    except (FileNotFoundError, StageError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        code = 130
    finished = planned.finished() if planned else None
    if finished and finished.arms:
        console.print(write_report(finished, args.out), soft_wrap=True)
        console.print(f"results.json, table.md, curves.png: {args.out}", soft_wrap=True)
    return code
