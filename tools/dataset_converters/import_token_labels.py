"""Makes a store of the label maps that LV-ViT's authors published, one file each.

Examples:
    >>> python tools/dataset_converters/import_token_labels.py \
    ...     --labels data/label_top5_train_nfnet --data data/imagenet/train \
    ...     --out data/imagenet/token_labels
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmswinv2.cli.launch import Preparation


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--labels",
        type=Path,
        required=True,
        help="folder that has <wnid>/<name>.pt for each picture <wnid>/<name>.JPEG",
    )
    add("--data", type=Path, required=True, help="folder of the pictures")
    add("--out", type=Path, required=True, help="folder of the store")
    add("--classes", type=int, default=1000, help="of the maps (default: 1000)")
    add(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, 8),
        help="processes that read files (default: one per core, at most 8)",
    )
    return parser.parse_args()


def main() -> int:
    """Runs the command; returns its exit code."""
    args = parse_args()
    with Preparation():
        from mmswinv2.pretraining.label_maker.importing import import_labels

        store = import_labels(**vars(args))
        print(f"{args.out}: complete, {len(store):,} maps of {store.spec.kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
