"""Checks a data tree in seconds, before a long job dies on it.

Examples:
    >>> python tools/leaderboard/check_data.py coco data/coco
    >>> python tools/leaderboard/check_data.py ade20k --splits validation
    >>> python tools/leaderboard/check_data.py imagenet-v2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.cli import launch
from mmswinv2.evaluation.benchmarks import IMAGENET_V2_ROOT
from mmswinv2.evaluation.data_checks import (
    ADE20K_IMAGES,
    COCO_IMAGES,
    IMAGENET_IMAGES,
    V2_IMAGES,
    check_ade20k,
    check_coco,
    check_imagenet,
    check_imagenet_v2,
)

# Benchmark: its folder, its splits, those that training and evaluation need, checks.
BENCHMARKS = {
    "coco": ("data/coco", COCO_IMAGES, ("train2017", "val2017"), check_coco),
    "ade20k": (
        "data/ade/ADEChallengeData2016",
        ADE20K_IMAGES,
        ("training", "validation"),
        check_ade20k,
    ),
    "imagenet": ("data/imagenet", IMAGENET_IMAGES, ("train", "val"), check_imagenet),
    "imagenet-v2": (
        IMAGENET_V2_ROOT,
        V2_IMAGES,
        ("matched-frequency",),  # the one that papers mean
        check_imagenet_v2,
    ),
}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Check a data tree in seconds.")
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("root", nargs="?", type=Path, help="its folder")
    parser.add_argument(
        "--splits", nargs="+", metavar="SPLIT", help="only these, such as val2017"
    )
    return parser.parse_args()


def main() -> None:
    """Prints a line per check; fails if one fails."""
    with launch.Preparation():
        args = parse_args()
        folder, images, needed, checks = BENCHMARKS[args.benchmark]
        root = args.root or Path(folder)
        if not root.is_dir():
            raise FileNotFoundError(
                f"{root} is no folder; give the one of {args.benchmark}, by default "
                f"{folder}"
            )
        splits = args.splits or needed
        if unknown := set(splits) - images.keys():
            raise ValueError(
                f"{args.benchmark} has no split {', '.join(sorted(unknown))}; it has "
                f"{', '.join(images)}"
            )
        failed = 0
        for split in splits:
            for name, check in checks(root, split):
                try:
                    print(f"ok      {name}: {check()}")
                except (ValueError, OSError, KeyError) as error:
                    failed += 1
                    print(f"FAILED  {name}: {launch.explain(error)}")
        if failed:
            raise ValueError(f"{failed} checks of {root} failed; see the lines above")


if __name__ == "__main__":
    main()
