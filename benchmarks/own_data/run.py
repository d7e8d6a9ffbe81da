"""Carries a small window to twice the resolution on three sets of real pictures.

For each set tools/new_config.py writes a config for a low resolution with window 8 and
one for twice of it with window 16. 'nano' is trained from scratch at the low
resolution, tested at both, fine-tuned at the high one and tested again; --control also
trains on at the low one for as long as fine-tuning took. Ends in a table, a figure and
results.json. Finished stages are kept, and an interrupted call goes on where it was.

Examples:
    >>> python benchmarks/own_data/run.py --data DIR --sets camvid --seeds 0
    >>> python benchmarks/own_data/run.py --data DIR --control
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # works uninstalled

from outcome import write_report  # noqa: E402
from real_sets import SETS, write_config, write_manifest  # noqa: E402
from rich.console import Console  # noqa: E402

from mmswinv2.cli.stages import StageError, run_side_by_side  # noqa: E402
from mmswinv2.cli.transfer_plan import Plan, Row, Task  # noqa: E402


def make_plans(args: argparse.Namespace) -> dict[str, list[Plan]]:
    """Write manifests and configs, and plan the stages of every set and seed."""
    data, out = args.data.resolve(), args.out.resolve()
    plans = {}
    for name in args.sets:
        own = SETS[name]
        manifest = f"{name}.json"
        write_manifest(data / name, out / "data" / manifest)
        low, high = (out / "configs" / name / f"{size}.py" for size in ("low", "high"))
        write_config(own, data, low, high=False)
        write_config(own, data, high, high=True)
        task = Task(name, low, high, own.keep, own.seconds, manifest)
        plans[name] = [Plan(task, seed, out, out / "data") for seed in args.seeds]
    return plans


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a folder for each set"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--control",
        action="store_true",
        help="also train on at the low resolution for as long as fine-tuning took",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / "own_data")
    return parser.parse_args()


def main() -> int:
    """Run what is missing and write the report; return the exit code."""
    args = parse_args()
    # ended by another program, it ends its stages as on Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    rows = [row for row in Row if args.control or row is not Row.CONTROL]
    try:
        plans = make_plans(args)
        queues = [[s for p in ps for s in p.stages()] for ps in plans.values()]
        run_side_by_side(queues, console)
        if args.control:
            queues = [
                [s for p in ps for s in p.control_stages()] for ps in plans.values()
            ]
            run_side_by_side(queues, console)
    except (FileNotFoundError, StageError) as error:
        print(f"own_data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    table = write_report(plans, rows, args.seeds, args.out)
    console.print(table, soft_wrap=True)
    console.print(f"results.json, table.md, figure.png: {args.out}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
