"""Do labels of tokens help 'nano' to segment? CamVid, whose labels are dense and exact.

Pre-trains a classifier on CamVid's training pictures, whose labels say which share of a
crop each class has: with the class term alone, with the term of tokens beside it, and
with both and labels that a segmentor trained here gives; then trains segmentors from
each, and from random weights, also for as long as pre-training and training together
took, and tests them on the test set. Pre-training differs with the seed too. Ends in a
table, curves and results.json. Finished stages are kept, and an interrupted call goes
on where it was.

Examples:
    >>> python benchmarks/token_labeling/run.py --data DIR
    >>> python benchmarks/token_labeling/run.py --data DIR --seeds 0 --epochs 2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    *(str(ROOT / "benchmarks" / n) for n in ("own_data", "starts")),
]

from arms import Arm, Comparison, plan_arm, write_low_config  # noqa: E402
from comparison import make_parser, run_comparison, worker_options  # noqa: E402
from dense_labels import write_exact_labels  # noqa: E402
from real_sets import BATCH, CAMVID  # noqa: E402

from mmswinv2.cli.stages import FOLDER, WEIGHTS, Stage  # noqa: E402
from mmswinv2.cli.transfer_plan import BASE, schedule_options  # noqa: E402

CONFIG = Path(__file__).with_name("token_labeling_nano.py")
CONFIGS = (BASE, CONFIG.parent, ROOT / "configs" / "token_labeling")
STARTS = {
    "scratch": "from random weights",
    "longer": "from random weights, on as many pictures as those below",
    "class": "class term alone",
    "token": "class and token terms",
    "teacher": "class and token terms, labels of the first row's segmentor",
}
OBJECTIVES = {
    "class": ("model.head.token_weight=0",),
    "token": (),
    "teacher": (),
}
EPOCHS = 50
SECONDS = 10.0  # of an epoch on a core
# The segmentors as in benchmarks/own_data, but tested on pictures on which no setting
# was tried.
OWN = replace(
    CAMVID,
    inputs=(
        *CAMVID.inputs[:2],
        ("--val-images", "img_dir/test"),
        ("--val-labels", "ann_dir/test"),
    ),
)


def plan_labels(args: argparse.Namespace, segmentor: Arm, config: Path) -> Stage:
    """Plan label maps of a segmentor of the training pictures."""
    height, width = (OWN.scales[0] * side // 4 for side in (3, 4))
    return Stage(
        title=f"label maps of a segmentor, seed {segmentor.seed}",
        folder=args.out / f"seed-{segmentor.seed}" / "labels",
        command=(
            *(
                "tools/dataset_converters/make_token_labels.py",
                "--teacher",
                str(config),
            ),
            *(
                "--weights",
                WEIGHTS,
                "--data",
                str(args.data / OWN.name / "img_dir/train"),
            ),
            *("--size", str(height), str(width), "--top-k", str(args.classes)),
            *("--out", f"{FOLDER}/maps"),
        ),
        seconds=60,
        data=args.out / "data" / f"{OWN.name}.json",
        configs=(BASE, config.parent),
        after=segmentor.train,
    )
