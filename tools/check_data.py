"""Finds what is wrong with data, and with a config for them, before a run does.

Ends with exit code 1 where a run would fail or learn nonsense. ``tools/train.py`` and
``tools/test.py`` look at the same before they start; MMSWINV2_PREFLIGHT=0 in the
environment keeps them from it. Names and annotations are read in full; of the pictures
2000 headers and 64 in full, of the label maps 200.

Examples:
    >>> python tools/check_data.py coco configs/mine.py
    >>> python tools/check_data.py coco annotations/train.json train/
    >>> python tools/check_data.py seg images/ labels/ --classes 11
    >>> python tools/check_data.py cls configs/classes.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from rich.console import Console

from mmswinv2.cli import launch
from mmswinv2.own_data.checks.annotations import CocoUse
from mmswinv2.own_data.checks.coco import check_coco
from mmswinv2.own_data.checks.config import check_config
from mmswinv2.own_data.checks.findings import Finding, print_page
from mmswinv2.own_data.checks.labels import LabelUse, check_labels
from mmswinv2.own_data.checks.pictures import check_pictures
from mmswinv2.own_data.files import list_files, read_coco

SCOPES = {"coco": "mmdet", "seg": "mmseg", "cls": "mmpretrain"}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Find what is wrong with data, and with a config for them.",
        epilog="MMSWINV2_PREFLIGHT=0 in the environment keeps train.py and test.py "
        "from looking at the same.",
    )
    parser.add_argument(
        "task",
        choices=SCOPES,
        help="objects (coco), pixels (seg), or whole pictures or videos (cls)",
    )
    parser.add_argument(
        "source",
        nargs="+",
        help="a config, or ANNOTATIONS IMAGES (coco), or IMAGES LABELS (seg)",
    )
    parser.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="how many classes the label maps of two folders have",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=launch.Options,
        default={},
        metavar="KEY=VALUE",
        help="change the config, as in data_root=DIR",
    )
    parser.set_defaults(launcher="none", local_rank=0, work_dir=None)
    return parser.parse_args()


def check_coco_files(annotations: str, images: str) -> Iterator[Finding]:
    """Findings about an annotation file and its folder of pictures."""
    content = read_coco(annotations)
    masks = any(
        isinstance(record, dict) and record.get("segmentation")
        for record in content["annotations"]
    )
    yield from check_coco(content, annotations, CocoUse(masks=masks))
    sizes = {
        image["file_name"]: (image.get("width"), image.get("height"))
        for image in content["images"]
        if isinstance(image, dict) and isinstance(image.get("file_name"), str)
    }
    yield from check_pictures(images, sizes, key="data_prefix.img")


def check_folders(images: str, labels: str, classes: int | None) -> Iterator[Finding]:
    """Findings about a folder of pictures and one of label maps, paired by stem."""
    names = [*list_files(images)]
    maps = {name.rpartition(".")[0]: name for name in list_files(labels)}
    stems = {name: name.rpartition(".")[0] for name in names}
    pairs = {name: maps.get(stem, f"{stem}.png") for name, stem in stems.items()}
    if not names:
        yield Finding("error", images, "has no files", "give the folder of pictures")
    yield from check_pictures(images, dict.fromkeys(names), key="data_prefix.img_path")
    yield from check_labels(images, labels, pairs, LabelUse(classes))


def find(args: argparse.Namespace) -> Iterator[Finding]:
    """Findings about what the command line names."""
    if len(args.source) == 1:
        args.config = args.source[0]
        cfg = launch.load_config(args)
        if cfg.default_scope != SCOPES[args.task]:
            tasks = [task for task, of in SCOPES.items() if of == cfg.default_scope]
            raise ValueError(
                f"{args.config} is for {cfg.default_scope}: not {args.task}, but "
                f"{' '.join(tasks) or 'none of these'}"
            )
        splits = ["train", "val"]
        if cfg.get("test_dataloader") != cfg.get("val_dataloader"):
            splits.append("test")
        yield from check_config(cfg, splits)
        return
    if args.task == "cls" or len(args.source) != 2:
        raise ValueError(
            f"expected a config, or two paths of coco or seg, got {len(args.source)}"
        )
    for path in args.source:
        if not Path(path).exists():
            raise FileNotFoundError(f"{path} does not exist")
    if args.task == "coco":
        yield from check_coco_files(*args.source)
    else:
        yield from check_folders(*args.source, args.classes)


def main() -> None:
    """Prints a page of findings; exit code 1 if there are errors among them."""
    with launch.Preparation():
        findings = [*find(parse_args())]
        print_page(findings, Console())
    if any(finding.severity == "error" for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
