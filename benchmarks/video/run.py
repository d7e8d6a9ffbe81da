"""Does 'nano' learn from clips what no frame shows? Moving shapes, on a CPU.

Trains the mini config of clips from random weights, from a detector of pictures whose
weights are inflated, and from random weights with one frame of each clip, for equally
many iterations, and tests all on several views. Ends in a table, curves and
results.json. Finished stages are kept, and an interrupted call goes on where it was.
Uses one core.

Examples:
    >>> python benchmarks/video/run.py
    >>> python benchmarks/video/run.py --seeds 0 --iterations 200
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "benchmarks" / "own_data"),
    str(ROOT / "tools" / "dataset_converters"),
]

from make_mini import CLIPS, MANIFEST, make_mini  # noqa: E402
from motions import STARTS, Arm, write_report  # noqa: E402
from rich.console import Console  # noqa: E402

from mmswinv2.cli.stages import WEIGHTS, Stage, run_side_by_side  # noqa: E402
from mmswinv2.cli.transfer_plan import BASE, NO_VALIDATION  # noqa: E402

MINI = ROOT / "configs" / "mini"
CONFIG = MINI / "swinv2-nano-p2x4x4-w4x4x4_mini-clips-32px.py"
DETECTOR = MINI / "mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px.py"
ITERATIONS = 800
INTERVAL = 50  # iterations from one validation to the next
SECONDS = (300.0, 20.0, 300.0)  # on a core: training, test, detector
FROM_DETECTOR = (
    "model.backbone.init_cfg.type=Pretrained",
    f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
)
OPTIONS = {  # of each start, in training; ``frame`` also in tests
    "scratch": (),
    "inflated": FROM_DETECTOR,
    "frame": tuple(
        f"{split}_dataloader.dataset.pipeline.0.clip_len=1"
        for split in ("train", "val", "test")
    ),
}


def plan_detector(data: Path, out: Path) -> Stage:
    """The training of a detector on the mini data's pictures."""
    options = (f"data_root={data / 'coco'}", "randomness.seed=0", *NO_VALIDATION)
    return Stage(
        title="detector of pictures",
        folder=out / "detector",
        command=("tools/train.py", str(DETECTOR), "--cfg-options", *options),
        seconds=SECONDS[2],
        data=data / MANIFEST,
        configs=(BASE, MINI),
    )


def plan_arm(
    start: str, seed: int, iterations: int, data: Path, out: Path, detector: Stage
) -> Arm:
    """Plan a training of clips, and the test."""
    folder = out / f"seed-{seed}" / start
    common = dict(data=data / MANIFEST, configs=(BASE, MINI))
    warm_up = iterations // 10
    options = (
        f"data_root={data}",
        f"randomness.seed={seed}",
        f"train_cfg.max_iters={iterations}",
        f"train_cfg.val_interval={INTERVAL}",
        f"param_scheduler.0.end={warm_up}",
        f"param_scheduler.1.begin={warm_up}",
        f"param_scheduler.1.end={iterations}",
        *OPTIONS[start],
    )
    train = Stage(
        title=f"train {STARTS[start]}",
        folder=folder / "train",
        command=("tools/train.py", str(CONFIG), "--cfg-options", *options),
        seconds=SECONDS[0],
        after=detector if start == "inflated" else None,
        **common,
    )
    options = (f"data_root={data}", *(OPTIONS[start] if start == "frame" else ()))
    test = Stage(
        title=f"test {STARTS[start]}",
        folder=folder / "test",
        command=("tools/test.py", str(CONFIG), WEIGHTS, "--cfg-options", *options),
        seconds=SECONDS[1],
        after=train,
        **common,
    )
    return Arm(start, seed, train, test)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--iterations", type=int, default=ITERATIONS)
    add("--data", type=Path, default=ROOT / "data", help="where mini data are written")
    add("--out", type=Path, default=ROOT / "work_dirs" / "video")
    return parser.parse_args()


def main() -> int:
    """Run what is missing and write the report; return the exit code."""
    args = parse_args()
    # ended by another program, it ends its stages as on Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    data, out = args.data.resolve(), args.out.resolve()
    clips, pictures = data / "mini-clips", data / "mini"
    try:
        make_mini(**{**CLIPS, "out": clips}, clips=True)
        if "inflated" in args.starts:
            make_mini(pictures)
        detector = plan_detector(pictures, out)
        arms = [
            plan_arm(start, seed, args.iterations, clips, out, detector)
            for seed in args.seeds
            for start in args.starts
        ]
        first = [detector] if "inflated" in args.starts else []
        stages = first + [stage for arm in arms for stage in (arm.train, arm.test)]
        run_side_by_side([stages], console)
    except (ValueError, RuntimeError) as error:
        print(f"video: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    console.print(write_report(arms, out), soft_wrap=True)
    console.print(
        f"results.json, table.md, curves.png, clips.png: {out}", soft_wrap=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
