"""Predicts a test set, checks the predictions, and packs them for its server.

Examples:
    >>> python tools/leaderboard/pack_submission.py coco CONFIG CHECKPOINT --name mine
    >>> python tools/leaderboard/pack_submission.py ade20k --predictions DIR --name mine
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmswinv2.cli import launch, preflight, strategies
from mmswinv2.cli.tta import use_tta
from mmswinv2.evaluation.benchmarks import BENCHMARKS, Benchmark, format_only
from mmswinv2.evaluation.submissions import (
    archive_name,
    detection_files,
    pack_ade20k,
    pack_coco,
    pack_panoptic,
)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Pack predictions of a test set.")
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("config", nargs="?", help="a config file, or a name")
    parser.add_argument("checkpoint", nargs="?", help="trained weights, a file or URL")
    parser.add_argument("--name", required=True, help="of the method, in the files")
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="PATH",
        help="pack these, and run no model: the PREFIX of PREFIX.bbox.json and "
        "PREFIX.segm.json (coco) or PREFIX.panoptic.json, or a folder (ade20k)",
    )
    parser.add_argument("--split", help="the test set by default")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="of that split")
    parser.add_argument("--tta", action="store_true", help="scales and flips")
    parser.add_argument("--out-dir", type=Path, default=Path("submissions"))
    launch.add_arguments(parser)
    return parser.parse_args()


def check_args(args: argparse.Namespace) -> Benchmark:
    """Fills in the defaults of a benchmark; raises for what does not go together."""
    benchmark = BENCHMARKS[args.benchmark]
    args.split = args.split or next(iter(benchmark.splits))
    if args.split not in benchmark.splits:
        raise ValueError(
            f"{args.benchmark} has no split {args.split!r}; it has "
            f"{', '.join(benchmark.splits)}"
        )
    if not re.fullmatch(r"[\w.-]+", args.name):
        raise ValueError(f"--name {args.name!r}: expected letters, digits, - _ and .")
    if (args.predictions is None) == (args.checkpoint is None):
        raise ValueError("give a config and a checkpoint, or --predictions, not both")
    split = benchmark.splits[args.split]
    args.data_root = args.data_root or Path(split.root)
    for part in filter(None, (split.ann_file, split.images)):
        if not (args.data_root / part).exists():
            raise FileNotFoundError(
                f"{args.data_root / part} does not exist; --data-root is the folder of "
                f"{split.images} for {args.split}"
            )
    return benchmark


def predict(args: argparse.Namespace, preparation: launch.Preparation) -> Path:
    """Runs the model over the split; gives where its predictions lie."""
    cfg: Config = launch.load_config(args)
    strategies.drop(cfg)
    if args.work_dir is None:
        cfg.work_dir = os.path.join(cfg.work_dir, "submission", args.split)
    out = Path(cfg.work_dir).resolve() / "predictions" / args.benchmark
    format_only(cfg, args.benchmark, args.split, args.data_root, out)
    if launch.is_first_process():
        preflight.check_model(cfg, trained=args.checkpoint)
        shutil.rmtree(out, ignore_errors=True)  # of an earlier run
        out.mkdir(parents=True)
    if args.tta:
        use_tta(cfg)
        format_only(cfg, args.benchmark, args.split, args.data_root, out)
    cfg.load_from = args.checkpoint
    runner = launch.build_runner(cfg, preparation)
    runner._train_loop = None
    runner.test()
    print(f"predictions: {out}")
    return out if args.benchmark == "ade20k" else out / "results"


def pack(
    args: argparse.Namespace, benchmark: Benchmark, path: Path
) -> Iterator[tuple[Path, str]]:
    """Packs what was predicted: archives, each with a line on what is in it."""
    split = benchmark.splits[args.split]
    name = archive_name(args.benchmark, args.split, args.name)
    images = args.data_root / (split.ann_file or split.images)
    if args.benchmark == "ade20k":
        if not path.is_dir():
            raise FileNotFoundError(f"{path} is no folder of label maps")
        archive = args.out_dir / name
        yield archive, pack_ade20k(path, images, archive)
    elif args.benchmark == "coco-panoptic":
        file, folder = (
            path.with_name(f"{path.name}.panoptic{end}") for end in (".json", "")
        )
        if not file.is_file():
            raise FileNotFoundError(f"{file} does not exist")
        archive = args.out_dir / name
        yield archive, pack_panoptic(file, folder, images, archive)
    else:
        files = list(detection_files(path))
        if not files:
            raise FileNotFoundError(f"neither {path}.bbox.json nor {path}.segm.json")
        for kind, file in files:  # of one official name
            archive = args.out_dir / kind / name
            yield archive, pack_coco(file, images, archive)


def main() -> None:
    """Predicts, checks and packs."""
    with launch.Preparation() as preparation:
        args = parse_args()
        benchmark = check_args(args)
        path = args.predictions or predict(args, preparation)
    with launch.Preparation():  # what the model made may be bad input to a server
        if is_main_process():
            for archive, what in pack(args, benchmark, path):
                print(f"{archive}: {what}")
            print(f"server: {benchmark.server}")


if __name__ == "__main__":
    main()
