"""Evaluates by the paper's protocol, records all of it, and fills the results table.

Examples:
    >>> python tools/leaderboard/run.py CONFIG CHECKPOINT --protocol ss
    >>> python tools/leaderboard/run.py CONFIG CHECKPOINT --protocol ms --data-root DIR
    >>> python tools/leaderboard/run.py CLASSIFIER swinv2://tiny-w8-256 --protocol v2
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process

from mmswinv2.apis import is_of_videos
from mmswinv2.checkpoints.zoo import SCHEME, fetch
from mmswinv2.cli import launch, preflight, strategies
from mmswinv2.cli.tta import use_tta
from mmswinv2.evaluation.benchmarks import IMAGENET_V2, use_imagenet_v2, use_views
from mmswinv2.evaluation.records import (
    PROTOCOLS,
    make_record,
    why_not_entered,
    write_record,
    write_results,
)
from mmswinv2.places import CONFIG_DIR, INSTALLED, ROOT


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Fill a row of the results table.")
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument(
        "checkpoint", help="the trained weights, a file or a swinv2:// name"
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        required=True,
        help="; ".join(f"{name}: {what}" for name, what in PROTOCOLS.items()),
    )
    parser.add_argument("--data-root", metavar="DIR", help="the data, if elsewhere")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results.md") if INSTALLED else ROOT / "docs" / "results.md",
        metavar="FILE.md",
        help="the page with the table; records lie beside it, in FILE/",
    )
    launch.add_arguments(parser)
    return parser.parse_args()


def find_checkpoint(given: str) -> tuple[Path, str]:
    """The file of weights, of which a record has the hash, and their name."""
    if given.startswith(SCHEME):
        return fetch(given), given
    file = Path(given)
    if not file.is_file():
        raise FileNotFoundError(
            f"{given} does not exist; a record needs the file itself, as it holds its "
            "hash, or a name of 'tools/weights.py list'"
        )
    return file, file.name


def prepare(args: argparse.Namespace) -> Config:
    """The config of the run, after everything was looked at that can be wrong."""
    if args.data_root:
        args.cfg_options = {**args.cfg_options, "data_root": args.data_root}
    cfg = launch.load_config(args)
    strategies.drop(cfg)
    if args.work_dir is None:
        cfg.work_dir = os.path.join(cfg.work_dir, "leaderboard", args.protocol)
    if (of_videos := is_of_videos(cfg)) or args.protocol == "views":
        use_views(cfg, args.protocol, of_videos=of_videos)
    if args.protocol in IMAGENET_V2:
        use_imagenet_v2(cfg, args.protocol, args.cfg_options.get("data_root"))
    if launch.is_first_process():
        preflight.check_data(cfg, "test")
        preflight.check_model(cfg, trained=args.checkpoint)
    if args.protocol == "ms":
        use_tta(cfg)
    cfg.load_from = args.checkpoint
    return cfg


def report(record: dict, reason: str | None, results: Path, work_dir: str) -> None:
    """Keeps the record, enters it where it belongs, and prints what happened."""
    name = f"{record['config']}.{record['protocol']}.json"
    for metric, value in record["results"].items():
        print(f"{metric}  {value:g}")
    if reason:
        path = Path(work_dir) / name
        print(f"not entered into {results}: {reason}")
    else:
        path = results.with_suffix("") / name
    write_record(record, path)
    print(f"record: {path}")
    if not reason:
        configs = sorted(CONFIG_DIR.glob("[!_]*/*.py"))
        write_results(configs, results.with_suffix(""), results)
        print(f"table: {results}")


def main() -> None:
    """Evaluates and records."""
    with launch.Preparation() as preparation:
        args = parse_args()
        checkpoint, name = find_checkpoint(args.checkpoint)
        cfg = prepare(args)
        runner = launch.build_runner(cfg, preparation)
        # Hooks ask for runner.iter, which would load the training data
        runner._train_loop = None
        metrics = runner.test()
    if not is_main_process():
        return
    dataset = runner.test_loop.dataloader.dataset
    images = len(dataset)
    record = make_record(
        cfg,
        protocol=args.protocol,
        checkpoint=checkpoint,
        name=name,
        options=args.cfg_options,
        metrics=metrics,
        images=images,
        processes=get_world_size(),
        list_hash=getattr(dataset, "list_hash", None),
    )
    with launch.Preparation():
        if not record["results"]:
            raise ValueError("nothing to record: the model has not detected anything")
    changed = args.cfg_options
    reason = why_not_entered(cfg, CONFIG_DIR, changed, images, args.protocol)
    report(record, reason, args.results, cfg.work_dir)


if __name__ == "__main__":
    main()
