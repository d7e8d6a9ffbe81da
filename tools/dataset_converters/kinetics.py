"""Writes lists of videos for training and evaluation, and says what is unreadable.

Videos lie in ROOT/train/CLASS and ROOT/val/CLASS, maybe ROOT/test/CLASS, or in
ROOT/CLASS, of which --val-share puts some of each class aside. Every video is opened;
unreadable.txt has those that are left out, and why. classes.txt has the names of
classes in the order of labels.

Examples:
    >>> python tools/dataset_converters/kinetics.py data/kinetics400
    >>> python tools/dataset_converters/kinetics.py clips --val-share 0.1
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.cli import launch


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("root", type=Path, help="folder of train/ and val/, or of classes")
    add("--out", type=Path, help="folder of the lists; by default ROOT")
    add("--val-share", type=float, help="share of each class to validate on")
    add("--classes", type=Path, help="names in the order of labels; else sorted")
    add(
        "--csv", type=Path, nargs="+", default=[], help="Kinetics' own, to compare with"
    )
    add("--frames", type=int, default=64, help="count shorter videos; by default 64")
    add("--full", action="store_true", help="decode all frames, not first and last")
    workers = os.cpu_count() or 1
    add("--workers", type=int, default=workers, help=f"processes; by default {workers}")
    return parser.parse_args()


def main() -> None:
    """Writes the lists."""
    args = parse_args()
    with launch.Preparation():
        from mmswinv2.video.make_lists import make_lists

        if args.workers < 1:
            raise ValueError(f"--workers is {args.workers}; expected at least 1")
        make_lists(
            args.root,
            args.out or args.root,
            val_share=args.val_share,
            classes=args.classes,
            csv_files=args.csv,
            frames=args.frames,
            full=args.full,
            workers=args.workers,
        )


if __name__ == "__main__":
    main()
