"""Evaluates a trained detector, segmentor or classifier, of pictures or videos.

Examples:
    >>> python tools/test.py CONFIG CHECKPOINT --tta --show-dir DIR --out FILE
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works uninstalled
import mmswinv2.cli.missing  # noqa: F401  # isort: skip

from mmengine.config import Config
from mmengine.dist import master_only

from mmswinv2.apis import is_of_videos
from mmswinv2.checkpoints.whole_files import writes_whole_files
from mmswinv2.cli import launch, preflight, strategies
from mmswinv2.cli.tta import use_tta
from mmswinv2.evaluation import unlabelled


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Evaluate a model.")
    parser.add_argument("config", help="a config file, or the name of one in configs/")
    parser.add_argument("checkpoint", help="trained weights: a file, URL or name")
    parser.add_argument(
        "--tta", action="store_true", help="test-time augmentation: scales and flips"
    )
    parser.add_argument(
        "--show-dir", metavar="DIR", help="draw truth and predictions there"
    )
    parser.add_argument(
        "--out",
        help="keep the predictions: a .pkl file (detection, classification), or a "
        "folder of label maps (segmentation)",
    )
    launch.add_arguments(parser)
    return parser.parse_args()


def apply_flags(cfg: Config, args: argparse.Namespace) -> None:
    """Writes what the command line asks for into the config."""
    cfg.load_from = args.checkpoint
    strategies.drop(cfg)
    if args.work_dir is None:  # beside the config that the training left there
        cfg.work_dir = os.path.join(cfg.work_dir, "test")
    if args.tta:
        use_tta(cfg)
    if args.show_dir:
        drawing = (cfg.get("default_hooks") or {}).get("visualization") or {}
        score_thr = drawing.get("score_thr", 0.3)
        kind = "ClipPictureHook" if is_of_videos(cfg) else "PictureHook"
        pictures = dict(type=f"mmswinv2.{kind}", score_thr=score_thr)
        pictures["out_dir"] = os.path.abspath(args.show_dir)
        cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), pictures]
    check_places(cfg)
    if not (cfg.test_evaluator or args.out or args.show_dir):
        raise ValueError(
            "test_dataloader.dataset has with_label=False, so there is nothing to "
            "measure; add --out FILE.pkl or --show-dir DIR to get predictions"
        )
    if args.out:
        keep_predictions(cfg, args.out)


def check_places(cfg: Config) -> None:
    """Raises where an evaluator shall write predictions, and knows not where."""
    key = "output_dir" if cfg.default_scope == "mmseg" else "outfile_prefix"
    for metric in preflight.as_list(cfg.test_evaluator):
        if metric.get("format_only") and not metric.get(key):
            raise ValueError(
                f"test_evaluator has format_only=True but no place for the predictions;"
                f" add --cfg-options test_evaluator.{key}=out/predictions"
            )


def keep_predictions(cfg: Config, out: str) -> None:
    """Lets the evaluators write predictions as well."""
    if cfg.default_scope == "mmseg":
        for metric in preflight.as_list(cfg.test_evaluator):
            metric.output_dir = out
        return
    if not out.endswith((".pkl", ".pickle")):
        raise ValueError(
            f"--out takes a .pkl file for detection and classification, but got {out!r}"
        )
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    kind = "DumpDetResults" if cfg.default_scope == "mmdet" else "DumpResults"
    dump = dict(type=kind, out_file_path=out)
    cfg.test_evaluator = [*preflight.as_list(cfg.test_evaluator), dump]


@master_only
def print_metrics(metrics: dict[str, float]) -> None:
    """One table, after all the logs."""
    if not metrics:
        print("\nno metrics: there were no labels, or nothing was found")
        return
    rows = {name.split("/")[-1]: value for name, value in metrics.items()}
    width = max(map(len, rows))
    print("\n".join(["", *(f"{name:<{width}}  {v:g}" for name, v in rows.items())]))


def main() -> None:
    """Evaluates, after everything was looked at that can be wrong."""
    with launch.Preparation() as preparation:
        args = parse_args()
        cfg = launch.load_config(args)
        if not (cfg.get("test_dataloader") and cfg.get("test_evaluator")):
            raise ValueError(
                f"{args.config} has no test_dataloader or no test_evaluator, so that "
                "there is nothing to test; write both, such as test_dataloader = "
                "val_dataloader and test_evaluator = val_evaluator"
            )
        if unlabelled.is_unlabelled(cfg):
            unlabelled.drop_labels(cfg)
        if launch.is_first_process():
            preflight.check_data(cfg, "test")
            preflight.check_model(cfg, trained=args.checkpoint)
        apply_flags(cfg, args)
        runner = launch.build_runner(cfg, preparation)
        # Hooks ask for runner.iter, which would load the training data
        runner._train_loop = None
        with writes_whole_files():
            metrics = runner.test()
        print_metrics(metrics)


if __name__ == "__main__":
    main()
