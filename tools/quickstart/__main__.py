"""Shows the main job on generated data: from a small window to a large one.

For detection and for segmentation: train at 128 px with windows of 8; test the weights
at 256 px with windows of 16 as they are; fine-tune there; test again. Ends in a table
and a folder of pictures. Finished stages are kept, so that a second call goes straight
to the table and an interrupted one goes on where it was; what a changed config, command
or data set reaches is run again by itself, and --force runs everything again.

Examples:
    >>> python tools/quickstart
    >>> python tools/quickstart --seeds 0 1 2 --control
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from pictures import draw_pictures
from rich.console import Console
from scores import print_table, summarise
from tasks import TASKS

from mmswinv2.cli.stages import StageError, run_side_by_side
from mmswinv2.cli.transfer_plan import Plan, Row
from mmswinv2.places import ROOT


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / "quickstart")
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT / "data" / "mini",
        help="made if it is missing",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="seeds of the training runs; of several, mean and spread are shown",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="length of the training runs at both resolutions, if not the configs' own",
    )
    parser.add_argument(
        "--control",
        action="store_true",
        help="also train on at the low resolution for as long as fine-tuning took",
    )
    parser.add_argument("--force", action="store_true", help="run everything again")
    args = parser.parse_args()
    if args.iterations and min(args.iterations) < 10:  # a tenth is warm-up
        parser.error(f"--iterations {args.iterations}: expected at least 10 each")
    return args


def main() -> int:
    """Run what is missing and show the results; return the exit code."""
    args = parse_args()
    # ended by another program, it ends its stages as on Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    data, out = args.data.resolve(), args.out.resolve()
    maker = ROOT / "tools" / "dataset_converters" / "make_mini.py"
    if not (data / "mini.json").is_file():
        made = subprocess.run([sys.executable, maker, "--out", data], check=False)
        if made.returncode:
            return made.returncode
    plans = [
        Plan(task, seed, out, data, args.iterations and tuple(args.iterations))
        for seed in args.seeds
        for task in TASKS
    ]
    if args.force:
        for plan in plans:
            shutil.rmtree(plan.folder, ignore_errors=True)
    rows = [row for row in Row if args.control or row is not Row.CONTROL]
    try:
        by_task = [[p for p in plans if p.task is task] for task in TASKS]
        run_side_by_side(
            [[s for p in ps for s in p.stages()] for ps in by_task], console
        )
        if args.control:
            queues = [[s for p in ps for s in p.control_stages()] for ps in by_task]
            run_side_by_side(queues, console)
    except StageError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    results = summarise(plans, rows)
    (out / "results.json").write_text(json.dumps(results, indent=2))
    print_table(results, console)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools counts aloud
        pictures = draw_pictures(plans[: len(TASKS)], out / "pictures")
    console.print(f"pictures: {pictures}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
