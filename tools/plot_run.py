"""Draws the curves of training runs: losses, metrics, learning rate, windows.

Examples:
    >>> python tools/plot_run.py work_dirs/mine
    >>> python tools/plot_run.py work_dirs/low work_dirs/high --out out/curves.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.cli import launch
from mmswinv2.drawing.curves import plot_runs
from mmswinv2.drawing.run_log import read_run


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Draw the curves of training runs.")
    parser.add_argument("work_dirs", nargs="+", metavar="WORK_DIR")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=".png, .svg or .pdf; default: curves.png in the first WORK_DIR",
    )
    return parser.parse_args()


def main() -> None:
    """Reads all runs, then draws."""
    with launch.Preparation():
        args = parse_args()
        out = args.out or Path(args.work_dirs[0]) / "curves.png"
        if out.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--out {out}: expected a name that ends with .png")
        short = [Path(path).resolve().name for path in args.work_dirs]
        names = short if len(set(short)) == len(short) else args.work_dirs
        runs = [read_run(path, name) for path, name in zip(args.work_dirs, names)]
        plot_runs(runs, out)
        print(f"curves: {out}")


if __name__ == "__main__":
    main()
