"""Does SimMIM help 'nano' where pictures are few? Segmentation and instances, on a CPU.

Pre-trains once on unlabelled pictures (1000 of ImageNet's classes and the training
pictures of CamVid and the nuclei), then trains on both sets, for equally many
iterations, from random weights and from the pre-trained ones. Ends in a table, curves
and results.json. Finished stages are kept, and an interrupted call goes on where it
was.

Examples:
    >>> python benchmarks/simmim/run.py --data DIR
    >>> python benchmarks/simmim/run.py --data DIR --sets camvid --seeds 0 --epochs 5
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    *(str(ROOT / "benchmarks" / n) for n in ("own_data", "starts")),
]

from arms import Comparison, plan_arm, write_low_config  # noqa: E402
from comparison import make_parser, run_comparison, worker_options  # noqa: E402
from real_sets import SETS  # noqa: E402
from unlabelled import EPOCHS, plan_simmim  # noqa: E402

TASKS = ("camvid", "nuclei")
STARTS = {"scratch": "from random weights", "simmim": "from SimMIM's"}


def make_plan(args: argparse.Namespace) -> Comparison:
    """Write manifests and configs, and plan both starts of every set and seed."""
    workers = worker_options(args.workers)
    simmim = plan_simmim(args.data, args.out, args.epochs, workers)
    configs = {n: write_low_config(SETS[n], args.data, args.out) for n in args.sets}
    arms = [
        plan_arm(
            *(SETS[name], start, seed, configs[name], args.out),
            before=simmim if start == "simmim" else None,
            options=workers,
            iterations=args.iterations,
        )
        for seed in args.seeds
        for name in args.sets
        for start in STARTS
    ]
    return Comparison(arms, STARTS, {"SimMIM, pictures without labels": [simmim]})


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "simmim", STARTS)
    parser.add_argument("--sets", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of SimMIM")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_comparison(parse_args(), make_plan))
