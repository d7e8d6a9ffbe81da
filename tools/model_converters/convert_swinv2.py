"""Converts Swin V2 weights from any layout to another, exactly.

Examples:
    >>> python tools/model_converters/convert_swinv2.py work_dirs/x/epoch_12.pth \
    ...     swinv2_official.pth --to official
    >>> python tools/model_converters/convert_swinv2.py swinv2://tiny-w8-256 \
    ...     swinv2_hf --to hf
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.checkpoints import read_swin_weights
from mmswinv2.checkpoints.convert import convert, fits_image
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.checkpoints.windows import StageWindows, short
from mmswinv2.planning.trained_size import trained_size


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", metavar="IN", help="a file, a folder, a URL or a swinv2:// name"
    )
    parser.add_argument(
        "target",
        metavar="OUT",
        type=Path,
        help="a new .pth or .safetensors file; for hf and timm .safetensors, or a "
        "folder that their own loaders take",
    )
    parser.add_argument("--to", required=True, choices=LAYOUTS, help="layout of OUT")
    parser.add_argument(
        "--windows",
        metavar="W[,W,...]",
        help="window per stage in tokens, where IN does not tell: 8, or 16,16,16,8",
    )
    parser.add_argument(
        "--pretrained-windows",
        metavar="W[,W,...]",
        help="likewise the windows of pre-training, if they are others",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="px that a folder for hf or timm is for (default: what IN was trained "
        "with, where it tells)",
    )
    return parser.parse_args()


def parse_windows(windows: str, pretrained: str | None, stages: int) -> StageWindows:
    """Windows and normalisers per stage from the command line.

    Raises:
        ValueError: If they are no numbers, or neither one nor one per stage.
    """

    def parse(text: str) -> list[tuple[int, int]]:
        sizes = text.split(",")
        if not all(s.isdigit() and int(s) for s in sizes) or len(sizes) not in (
            1,
            stages,
        ):
            raise ValueError(
                f"windows {text!r}: expected one size in tokens or {stages}, such as 8 "
                "or 16,16,16,8"
            )
        sizes = sizes * (stages // len(sizes))
        return [(int(size), int(size)) for size in sizes]

    return [*zip(parse(windows), parse(pretrained or windows))]


def main() -> int:
    """Runs the command; returns its exit code."""
    args = parse_args()
    try:
        weights = read_swin_weights(args.source)
        if args.windows:
            if weights.windows:
                raise ValueError(
                    f"{args.source} tells its windows; leave out --windows"
                )
            stages = len(weights.architecture.depths)
            weights.windows = parse_windows(
                args.windows, args.pretrained_windows, stages
            )
        folder = args.to in ("hf", "timm") and not args.target.suffix
        if args.image_size and not (folder and min(args.image_size) > 0):
            raise ValueError(
                f"--image-size {args.image_size[0]} {args.image_size[1]} is px of "
                "images, and belongs to a folder that --to hf and --to timm write"
            )
        size = args.image_size or (trained_size(args.source) if folder else None)
        image = tuple(size) if size else None
        windows = [window for window, _ in weights.windows or ()]
        if windows and image and not args.image_size and not fits_image(windows, image):
            print(f"  {args.to} has no such windows at {image[0]} x {image[1]} px")
            image = None
        converted = convert(weights, args.to, image)
        converted.save(args.target)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{args.target}: {len(converted.tensors)} tensors in the layout '{args.to}', "
        f"from '{weights.layout}'"
    )
    windows, normalisers = (
        " ".join(map(short, sizes)) for sizes in zip(*converted.windows)
    )
    print(f"  windows {windows}, normalisers {normalisers} (tokens per stage)")
    if folder:
        height, width = converted.training_image
        print(f"  for images of {height} x {width} px; --image-size sets another size")
    for what, names in (
        ("no place for", converted.left_out),
        ("not of the backbone", weights.unused),
    ):
        if names:
            print(f"  left out, {what}: {', '.join(names[:6])}", end="")
            print(f" and {len(names) - 6} more" if len(names) > 6 else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
