"""Does Feature Distillation help 'nano' where pictures are few?

Distils students with random weights, on the unlabelled pictures of benchmarks/simmim,
from the backbone that SimMIM trains on them there, and from that of the model which was
trained on the set itself from random weights. Then trains on the sets, for equally many
iterations, from random weights, from SimMIM's, and from both students. Students differ
with the seed, SimMIM's teacher is one. Ends in a table, curves and results.json.
Finished stages are kept, and an interrupted call goes on where it was.

Examples:
    >>> python benchmarks/feature_distillation/run.py --data DIR
    >>> python benchmarks/feature_distillation/run.py --data DIR --sets camvid --seeds 0
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("own_data", "starts", "simmim")
sys.path[:0] = [str(ROOT), *(str(ROOT / "benchmarks" / name) for name in FOLDERS)]

from arms import Comparison, plan_arm, write_low_config  # noqa: E402
from comparison import make_parser, run_comparison, worker_options  # noqa: E402
from real_sets import CAMVID_TEST, NUCLEI  # noqa: E402
from unlabelled import CONFIG as SIMMIM  # noqa: E402
from unlabelled import EPOCHS, gather_pictures, plan_simmim  # noqa: E402

from mmswinv2.cli.stages import WEIGHTS, Stage  # noqa: E402
from mmswinv2.cli.transfer_plan import BASE  # noqa: E402

CONFIG = Path(__file__).with_name("feature_distillation_nano.py")
CONFIGS = (
    BASE,
    CONFIG.parent,
    SIMMIM.parent,
    ROOT / "configs" / "feature_distillation",
)
FD_EPOCHS = 20
SECONDS = 60.0  # of an epoch on a core
SETS = {own.name: own for own in (CAMVID_TEST, NUCLEI)}
STARTS = {
    "scratch": "from random weights",
    "simmim": "from SimMIM's",
    "simmim_student": "from a student of SimMIM's",
    "own_student": "from a student of the first row's",
}


def plan_student(
    args: argparse.Namespace, title: str, folder: Path, seed: int, teacher: Stage
) -> Stage:
    """Plan the distillation of a student.

    Args:
        args (argparse.Namespace): Of the command line.
        title (str): What it learns from.
        folder (Path): Where it is trained.
        seed (int): Of its weights and pictures.
        teacher (Stage): The training of the teacher; its command names the config.
    """
    pictures, everything = gather_pictures(args.data, args.out)
    options = (
        f"data_root={pictures}",
        f"train_dataloader.dataset.data_root={pictures}",
        f"model.teacher.config={teacher.command[1]}",
        f"model.teacher.weights={WEIGHTS}",
        f"train_cfg.max_epochs={args.epochs}",
        f"param_scheduler.1.end={args.epochs}",
        f"randomness.seed={seed}",
        *worker_options(args.workers),
    )
    return Stage(
        title=f"distil from {title}, seed {seed}",
        folder=folder,
        command=("tools/train.py", str(CONFIG), "--cfg-options", *options),
        seconds=SECONDS * args.epochs,
        data=everything,
        configs=CONFIGS,
        after=teacher,
    )


def make_plan(args: argparse.Namespace) -> Comparison:
    """Write manifests and configs, and plan every start of every set and seed."""
    workers = worker_options(args.workers)
    simmim = plan_simmim(args.data, args.out, args.simmim_epochs, workers)
    configs = {n: write_low_config(SETS[n], args.data, args.out) for n in args.sets}
    arms, of_simmim, of_own = [], [], []
    for seed in args.seeds:
        folder = args.out / f"seed-{seed}"
        student = plan_student(args, "SimMIM's", folder / "student", seed, simmim)
        of_simmim.append(student)
        for name in args.sets:
            common = (seed, configs[name], args.out)
            usual = dict(options=workers, iterations=args.iterations)
            scratch = plan_arm(SETS[name], "scratch", *common, **usual)
            own = plan_student(
                args, f"{name}'s", folder / name / "student", seed, scratch.train
            )
            of_own.append(own)
            arms.append(scratch)
            for start, before in zip([*STARTS][1:], (simmim, student, own)):
                arms.append(
                    plan_arm(SETS[name], start, *common, before=before, **usual)
                )
    pretrainings = {
        "SimMIM, pictures without labels": [simmim],
        "students of SimMIM's": of_simmim,
        "students of the first rows'": of_own,
    }
    return Comparison(arms, STARTS, pretrainings)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "feature_distillation", STARTS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--epochs", type=int, default=FD_EPOCHS, help="of a student")
    parser.add_argument(
        "--simmim-epochs", type=int, default=EPOCHS, help="of the teacher"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_comparison(parse_args(), make_plan))
