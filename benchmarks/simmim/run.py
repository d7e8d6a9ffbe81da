"""Does SimMIM help 'nano' where pictures are few? Segmentation and instances, on a CPU.

Pre-trains once on unlabelled pictures (1000 of ImageNet's classes and the training
pictures of CamVid and the nuclei), then trains on both sets, for equally many
iterations, from random weights and from the pre-trained ones. Ends in a table, curves
and results.json. Finished stages are kept, and an interrupted call goes on where it
was. Uses two cores.

Examples:
    >>> python benchmarks/simmim/run.py --data DIR
    >>> python benchmarks/simmim/run.py --data DIR --sets camvid --seeds 0 --epochs 5
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "own_data")]

from gains import STARTS, Arm, write_report  # noqa: E402
from real_sets import SETS, OwnSet, write_config, write_manifest  # noqa: E402
from rich.console import Console  # noqa: E402

from mmswinv2.cli.stages import (  # noqa: E402
    WEIGHTS,
    Stage,
    StageError,
    run_side_by_side,
)
from mmswinv2.cli.transfer_plan import BASE, NO_VALIDATION  # noqa: E402

CONFIG = Path(__file__).with_name("simmim_nano.py")
EPOCHS = 40
SECONDS = 45.0  # of an epoch on a core
# The pictures without labels, by folder of --data.
PICTURES = ("imagenet-samples", "camvid/img_dir/train", "nuclei/train")
TASKS = ("camvid", "nuclei")
FROM_SIMMIM = (
    "model.backbone.init_cfg.type=Pretrained",
    f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
)


def plan_pretraining(data: Path, out: Path, epochs: int) -> Stage:
    """Lay the pictures side by side in one folder, and plan SimMIM on them.

    Raises:
        FileNotFoundError: If a folder of pictures is not there.
    """
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        write_manifest(data / name, out / "data" / f"{name.replace('/', '_')}.json")
        link = pictures / name.split("/")[0]
        if not link.exists():
            link.symlink_to(data / name)
    everything = out / "data" / "pictures.json"
    names = [f"{name.replace('/', '_')}.json" for name in PICTURES]
    everything.write_text("\n".join((out / "data" / n).read_text() for n in names))
    options = [
        f"data_root={pictures}",
        f"train_cfg.max_epochs={epochs}",
        f"param_scheduler.1.end={epochs}",
        "randomness.seed=0",
    ]
    return Stage(
        title="SimMIM",
        folder=out / "simmim",
        command=("tools/train.py", str(CONFIG), "--amp", "--cfg-options", *options),
        seconds=SECONDS * epochs,
        data=everything,
        configs=(BASE, CONFIG.parent, ROOT / "configs" / "simmim"),
    )


def plan_arm(
    own: OwnSet, start: str, seed: int, config: Path, out: Path, simmim: Stage
) -> Arm:
    """Plan a training of a set, with its own schedule, and the test."""
    folder = out / f"seed-{seed}" / own.name / start
    pretrained = start == "simmim"
    options = [f"randomness.seed={seed}", *NO_VALIDATION]
    common = dict(data=out / "data" / f"{own.name}.json", configs=(BASE, config.parent))
    train = Stage(
        title=f"{own.name}: train from {start}",
        folder=folder / "train",
        command=(
            *("tools/train.py", str(config), "--cfg-options", *options),
            *(FROM_SIMMIM if pretrained else ()),
        ),
        seconds=own.seconds[0],
        after=simmim if pretrained else None,
        **common,
    )
    kept = f"{own.keep}={folder / 'predictions'}"
    test = Stage(
        title=f"{own.name}: test from {start}",
        folder=folder / "test",
        command=("tools/test.py", str(config), WEIGHTS, "--cfg-options", kept),
        seconds=own.seconds[1],
        after=train,
        **common,
    )
    return Arm(own, start, seed, train, test)


def plan_arms(args: argparse.Namespace, simmim: Stage) -> list[Arm]:
    """Write manifests and configs, and plan both starts of every set and seed."""
    data, out = args.data.resolve(), args.out.resolve()
    configs = {}
    for name in args.sets:
        write_manifest(data / name, out / "data" / f"{name}.json")
        configs[name] = out / "configs" / name / "low.py"
        write_config(SETS[name], data, configs[name], high=False)
    return [
        plan_arm(SETS[name], start, seed, configs[name], out, simmim)
        for seed in args.seeds
        for name in args.sets
        for start in STARTS
    ]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help=f"folder with {', '.join(PICTURES)}"
    )
    parser.add_argument("--sets", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of SimMIM")
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / "simmim")
    return parser.parse_args()


def main() -> int:
    """Run what is missing and write the report; return the exit code."""
    args = parse_args()
    # ended by another program, it ends its stages as on Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    try:
        simmim = plan_pretraining(args.data.resolve(), args.out.resolve(), args.epochs)
        arms = plan_arms(args, simmim)
        queues = {"simmim": [simmim], "scratch": []}
        for arm in arms:
            queues[arm.start] += [arm.train, arm.test]
        run_side_by_side([*queues.values()], console)
    except (FileNotFoundError, StageError) as error:
        print(f"simmim: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    console.print(write_report(simmim, arms, args.out), soft_wrap=True)
    console.print(f"results.json, table.md, curves.png: {args.out}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
