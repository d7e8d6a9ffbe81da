"""Makes maps of all pictures of a folder, of a teacher's classes or features.

Examples:
    >>> python tools/dataset_converters/make_token_labels.py \
    ...     --teacher dm_nfnet_f6.dm_in1k --data data/imagenet/train \
    ...     --out data/imagenet/token_labels --processes 8
    >>> python tools/dataset_converters/make_token_labels.py \
    ...     --teacher work_dirs/classifier/config.py --weights epoch_300.pth \
    ...     --data data/own/train --out data/own-labels
    >>> python tools/dataset_converters/make_token_labels.py \
    ...     --check --out data/imagenet/token_labels
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmengine.device import get_device

from mmswinv2.cli.console import hide_noise
from mmswinv2.cli.launch import Preparation

if __name__ == "__mp_main__":  # in a process of several, before it imports the rest
    hide_noise()


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--teacher",
        help="a model of timm, a config of ours (with --weights), or hf: and a model "
        "or folder of Hugging Face",
    )
    add("--weights", help="checkpoint of the teacher (timm: instead of a download)")
    add("--data", type=Path, help="folder of pictures, with folders in it or not")
    add("--out", type=Path, required=True, help="folder of the store")
    add(
        "--top-k",
        type=int,
        default=5,
        help="classes kept of each token, or all where there are fewer (default: 5)",
    )
    add(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="px that pictures are squashed to (default: the teacher's test size)",
    )
    add(
        "--features",
        action="store_true",
        help="keep features, for Feature Distillation, in place of classes",
    )
    add(
        "--exif-rotation",
        action="store_true",
        help="turn pictures as their EXIF says; configs of ImageNet do not",
    )
    add("--device", help="such as cpu or cuda (default: the first there is)")
    add(
        "--processes",
        type=int,
        default=1,
        help="that share the work; with CUDA one per GPU (default: 1)",
    )
    add(
        "--workers",
        type=int,
        help="that read pictures for each process (default: its cores, at most 8)",
    )
    add(
        "--batch",
        default="auto",
        help="pictures in a batch, or auto: what fits into memory (default: auto)",
    )
    add(
        "--check",
        action="store_true",
        help="make nothing; prove that a store is whole, and of --teacher and --data "
        "where they are given",
    )
    return parser.parse_args()


def main() -> int:
    """Runs the command; returns its exit code."""
    args = parse_args()
    with Preparation():
        from mmswinv2.pretraining.label_maker import check_store, make_store

        if args.check:
            store = check_store(
                args.out,
                data=args.data,
                teacher=args.teacher,
                weights=args.weights,
                features=args.features,
            )
        else:
            for name in ("teacher", "data"):
                if getattr(args, name) is None:
                    raise ValueError(f"--{name} is missing; only --check needs none")
            if args.batch != "auto" and not args.batch.isdecimal():
                raise ValueError(f"--batch is {args.batch}; expected a number or auto")
            store = make_store(
                args.teacher,
                args.data,
                args.out,
                weights=args.weights,
                size=tuple(args.size) if args.size else None,
                top_k=args.top_k,
                features=args.features,
                exif_rotation=args.exif_rotation,
                device=args.device or get_device(),
                processes=args.processes,
                workers=args.workers,
                batch=None if args.batch == "auto" else int(args.batch),
            )
        proof = ", all checksums right" if args.check else ""
        print(f"{args.out}: complete, {len(store):,} maps of {store.spec.kind}{proof}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
