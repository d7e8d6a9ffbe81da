"""Writes a trained model as one file that runs without this repository.

Examples:
    >>> python tools/export.py CONFIG CKPT --out model.onnx
    >>> python tools/export.py CONFIG CKPT --out model.onnx --size 512 1024
    >>> python tools/export.py CONFIG CKPT --out backbone.pt2 --what backbone \
    ...     --to torch-export
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.cli import console, launch
from mmswinv2.cli.out_dir import make_folder
from mmswinv2.export.formats import FORMATS
from mmswinv2.export.making import JSON, Made, Wish, make


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument("weights", help="trained weights: a file, URL or name")
    parser.add_argument(
        "--out", type=Path, required=True, help="new file: .onnx, or else .pt2"
    )
    parser.add_argument(
        "--to", choices=[*FORMATS], default="onnx", help="what runs it (default: onnx)"
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="px of all pictures that it will take, scaled",
    )
    sizes.add_argument(
        "--dynamic", action="store_true", help="pictures of any size (the default)"
    )
    parser.add_argument(
        "--what",
        choices=["model", "backbone"],
        default="model",
        help="all from picture to result, or to feature maps (default: model)",
    )
    precisions = parser.add_mutually_exclusive_group()
    precisions.add_argument(
        "--precision",
        choices=["fp32", "fp16"],
        default="fp32",
        help="of weights in the file; it computes in fp32 (default: fp32)",
    )
    precisions.add_argument(
        "--int8",
        type=Path,
        metavar="FOLDER",
        help="products of 8 bits, calibrated on the pictures of a folder",
    )
    launch.add_config_options(parser)
    return parser.parse_args()


def report(wish: Wish, made: Made) -> list[str]:
    """What a reader of the console needs."""
    parity = made.parity
    sizes = ", ".join(
        f"{height} x {width}" for height, width in dict.fromkeys(parity.sizes)
    )
    more = made.megabytes / made.weights_megabytes - 1
    lines = [
        f"{wish.out}: {made.megabytes:.1f} MB, the weights alone "
        f"{made.weights_megabytes:.1f} MB ({more:+.0%})",
        f"  compared with the model at {sizes} px: largest difference "
        f"{parity.difference:.0e} of the largest value",
        f"  {parity.seconds * 1e3:.0f} ms for a picture of {parity.sizes[0][0]} x "
        f"{parity.sizes[0][1]} px, {parity.eager_seconds * 1e3:.0f} ms by the model "
        "itself",
        f"  {wish.out.with_suffix(JSON)} tells how to use it",
    ]
    if made.network.task == "segmentation":
        lines[1] += f", {parity.other_labels:.2%} of the labels differ"
    if made.network.task == "detection":
        lines[1] += (
            f", {parity.objects} objects found, {parity.other_objects} by one alone"
        )
    if wish.target == "onnx" and made.network.task != "features":
        lines.append(f"next: python demo/onnx_demo.py PICTURE {wish.out} --out-dir out")
    return lines


def main() -> None:
    """Runs the command."""
    with launch.Preparation():
        args = parse_args()
        size = tuple(args.size) if args.size else None
        precision = "int8" if args.int8 else args.precision
        wish = Wish(args.out, args.to, args.what, size, precision, args.int8)
        wish.check()
        make_folder(args.out.parent, "--out:")  # before minutes of work
        if size is None:
            print("for pictures of any size; --size HEIGHT WIDTH fixes it")
        with console.short_console():
            made = make(launch.load_config(args), args.weights, wish, tell=print)
        print("\n".join(report(wish, made)))


if __name__ == "__main__":
    main()
