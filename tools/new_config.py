"""Writes a config for your own pictures, with the reason of each number.

Examples:
    >>> python tools/new_config.py coco --train train.json --images photos --out my.py
    >>> python tools/new_config.py seg --images photos --labels maps --out my.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from rich.console import Console

from mmswinv2.cli import launch
from mmswinv2.config_types import read_config
from mmswinv2.own_data import methods
from mmswinv2.own_data.checks.config import check_config
from mmswinv2.own_data.checks.findings import print_page
from mmswinv2.own_data.new_config import new_coco, new_labels


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    coco = kinds.add_parser("coco", help="objects, in COCO's format")
    coco.add_argument("--train", type=Path, required=True, help="annotations, a JSON")
    coco.add_argument("--images", type=Path, required=True, help="their pictures")
    coco.add_argument("--val", type=Path, help="annotations to validate with")
    coco.add_argument("--val-images", type=Path, help="by default those of --images")
    coco.set_defaults(methods=methods.COCO, run=new_coco)
    seg = kinds.add_parser("seg", help="a class for every pixel, as label maps")
    seg.add_argument("--images", type=Path, required=True, help="pictures")
    seg.add_argument("--labels", type=Path, required=True, help="their label maps")
    seg.add_argument("--val-images", type=Path, help="pictures to validate with")
    seg.add_argument("--val-labels", type=Path, help="their label maps")
    seg.add_argument("--classes", type=Path, help="names of classes, one in a line")
    seg.add_argument(
        "--ignore-zero", action="store_true", help="0 is no class; the first one is 1"
    )
    seg.set_defaults(methods=methods.LABELS, run=new_labels)
    for kind in (coco, seg):
        _add_common(kind)
    return parser.parse_args()


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the config to write")
    add("--force", action="store_true", help="replace what is there")
    known = ", ".join(parser.get_default("methods"))
    add("--method", metavar="METHOD", help=f"one of {known}")
    add(
        "--arch",
        choices=["nano", "tiny", "small", "base", "large"],
        default="tiny",
        help="size of the backbone (default: tiny)",
    )
    add(
        "--weights",
        help="what the backbone starts from: a name of tools/weights.py list, a file, "
        "or 'none' (default: published weights of the size; none for nano)",
    )
    add("--load-from", metavar="CHECKPOINT", help="a run's whole model to start from")
    add("--memory", type=float, help="GiB (default: of the GPU here, else 24)")
    add("--scale", type=int, metavar="PX", help="long side of pictures")
    add("--window", type=int, metavar="TOKENS", help="of every stage")
    add("--batch", type=int, help="pictures in a step")
    add("--iterations", type=int, help="steps")
    add(
        "--val-share",
        type=float,
        default=0.2,
        help="share of pictures to validate with, where none are given (default: 0.2)",
    )
    add(
        "--group",
        metavar="REGEX",
        help="pictures in whose names this finds the same stay together, such as a "
        "patient's: '^(\\w+)_'",
    )
    add("--split-dir", type=Path, help="folder of that split (default: beside --out)")


def main() -> None:
    """Looks at the data, decides, writes, prints, and checks what it wrote."""
    with launch.Preparation():
        args = parse_args()
        args.run(args)
        findings = [*check_config(read_config(args.out), ("train", "val"))]
        print_page(findings, Console())
    if any(finding.severity == "error" for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
