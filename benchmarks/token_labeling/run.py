"""Do labels of tokens help 'nano' to segment? CamVid, whose labels are dense and exact.

Pre-trains a classifier on CamVid's training pictures, whose labels say which share of a
crop each class has: with the class term alone, with the term of tokens beside it, and
with both and labels that a segmentor trained here gives. Then trains segmentors from
each, and from random weights, of these also on as many pictures as pre-training and
training together see, and tests them on the test set. Pre-training differs with the
seed too. Ends in a table, curves and results.json. Finished stages are kept, and an
interrupted call goes on where it was.

Examples:
    >>> python benchmarks/token_labeling/run.py --data DIR
    >>> python benchmarks/token_labeling/run.py --data DIR --seeds 0 --epochs 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    *(str(ROOT / "benchmarks" / n) for n in ("own_data", "starts")),
]

from arms import Arm, Comparison, plan_arm, write_low_config  # noqa: E402
from comparison import make_parser, run_comparison, worker_options  # noqa: E402
from dense_labels import write_exact_labels  # noqa: E402
from real_sets import BATCH, CAMVID_TEST, CLASSES  # noqa: E402

from mmswinv2.cli.stages import FOLDER, WEIGHTS, Stage  # noqa: E402
from mmswinv2.cli.transfer_plan import BASE  # noqa: E402

CONFIG = Path(__file__).with_name("token_labeling_nano.py")
CONFIGS = (BASE, CONFIG.parent, ROOT / "configs" / "token_labeling")
STARTS = {
    "scratch": "from random weights",
    "longer": "from random weights, longer",
    "class": "class term",
    "token": "class and token terms",
    "teacher": "both terms, a segmentor's labels",
}
EPOCHS = 40
SECONDS = 12.0  # of an epoch on a core
CELL = 8  # px of a label, of 480 x 360 px
CLASS_ALONE = ("model.head.token_weight=0",)


def plan_labels(args: argparse.Namespace, segmentor: Arm, config: Path) -> Stage:
    """Plan label maps of a segmentor of the training pictures.

    Args:
        args (argparse.Namespace): Of the command line.
        segmentor (Arm): Its training.
        config (Path): Its config.
    """
    height, width = (str(CAMVID_TEST.scales[0] * side // 4) for side in (3, 4))
    data = args.data / CAMVID_TEST.name / "img_dir" / "train"
    return Stage(
        title=f"label maps of a segmentor, seed {segmentor.seed}",
        folder=args.out / f"seed-{segmentor.seed}" / "labels",
        command=(
            *(
                "tools/dataset_converters/make_token_labels.py",
                "--teacher",
                str(config),
            ),
            *("--weights", WEIGHTS, "--size", height, width),
            *("--top-k", str(len(CLASSES)), "--data", str(data)),
            *("--out", f"{FOLDER}/maps"),
        ),
        seconds=60.0,
        data=args.out / "data" / f"{CAMVID_TEST.name}.json",
        configs=(BASE, config.parent),
        after=segmentor.train,
    )


def plan_pretraining(
    args: argparse.Namespace,
    start: str,
    seed: int,
    maps: Path,
    *,
    after: Stage | None = None,
    options: tuple[str, ...] = (),
) -> Stage:
    """Plan Token Labeling on CamVid's training pictures.

    Args:
        args (argparse.Namespace): Of the command line.
        start (str): One of ``STARTS``.
        seed (int): Of its weights and pictures.
        maps (Path): Store of label maps.
        after (Stage, optional): What makes the maps. Defaults to None.
        options (tuple[str, ...]): More of the config.
    """
    pictures = args.data / CAMVID_TEST.name / "img_dir" / "train"
    options = (
        f"data_root={pictures}",
        f"train_dataloader.dataset.pipeline.1.store={maps}",
        f"train_cfg.max_epochs={args.epochs}",
        f"param_scheduler.1.end={args.epochs}",
        f"randomness.seed={seed}",
        *options,
        *worker_options(args.workers),
    )
    return Stage(
        title=f"pre-train, {STARTS[start]}, seed {seed}",
        folder=args.out / f"seed-{seed}" / "pretrain" / start,
        command=("tools/train.py", str(CONFIG), "--cfg-options", *options),
        seconds=SECONDS * args.epochs,
        data=args.out / "data" / f"{CAMVID_TEST.name}.json",
        configs=CONFIGS,
        after=after,
    )


def make_plan(args: argparse.Namespace) -> Comparison:
    """Write labels, manifest and config, and plan every start of every seed."""
    config = write_low_config(CAMVID_TEST, args.data, args.out)
    exact = args.out / "labels"
    pictures, labels = (
        args.data / CAMVID_TEST.name / n for n in ("img_dir", "ann_dir")
    )
    write_exact_labels(pictures / "train", labels / "train", CLASSES, exact, CELL)
    usual = args.iterations or CAMVID_TEST.iterations[0]
    seen = args.epochs * len([*(pictures / "train").iterdir()])
    arms, pretrained = [], {start: [] for start in [*STARTS][2:]}
    for seed in args.seeds:
        scratch, longer = (
            plan_arm(
                *(CAMVID_TEST, start, seed, config, args.out),
                options=worker_options(args.workers),
                iterations=iterations,
            )
            for start, iterations in (
                ("scratch", usual),
                ("longer", usual + seen // BATCH),
            )
        )
        maps = plan_labels(args, scratch, config)
        before = {
            "class": plan_pretraining(args, "class", seed, exact, options=CLASS_ALONE),
            "token": plan_pretraining(args, "token", seed, exact),
            "teacher": plan_pretraining(
                args, "teacher", seed, maps.folder / "maps", after=maps
            ),
        }
        arms += [scratch, longer]
        for start, stage in before.items():
            pretrained[start].append(stage)
            arms.append(
                plan_arm(
                    *(CAMVID_TEST, start, seed, config, args.out),
                    before=stage,
                    options=worker_options(args.workers),
                    iterations=usual,
                )
            )
    titles = {f"pre-train, {STARTS[s]}": stages for s, stages in pretrained.items()}
    return Comparison(arms, STARTS, titles)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "token_labeling", STARTS)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of pre-training")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_comparison(parse_args(), make_plan))
