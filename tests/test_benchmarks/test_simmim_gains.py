"""The benchmark of SimMIM: what it plans and what it reports, untrained."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
from finished import finish
from gains import write_report
from tiny import ROOT, load_script

from mmswinv2.cli.stages import WEIGHTS
from mmswinv2.config_types import read_config

RUN = load_script("benchmarks/simmim/run.py")


@pytest.fixture
def args(few_pictures: Path, tmp_path: Path) -> Namespace:
    options = dict(sets=["camvid"], seeds=[0, 1], epochs=7, workers=0, iterations=None)
    return Namespace(data=few_pictures, out=tmp_path / "out", **options)


def test_both_starts_differ_in_the_weights_alone(args: Namespace) -> None:
    plan = RUN.make_plan(args)
    assert [(arm.start, arm.seed) for arm in plan.arms] == [
        *(("scratch", 0), ("simmim", 0), ("scratch", 1), ("simmim", 1))
    ]
    scratch, pretrained = (arm.train for arm in plan.arms[:2])
    assert pretrained.command[: len(scratch.command)] == scratch.command
    assert pretrained.command[len(scratch.command) :] == (
        "model.backbone.init_cfg.type=Pretrained",
        f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
    )
    ((simmim,),) = plan.pretrainings.values()
    assert scratch.after is None and pretrained.after is simmim
    links = sorted((args.out / "pictures").iterdir())
    assert [p.name for p in links] == ["camvid", "imagenet-samples", "nuclei"]
    assert (links[0] / "1.jpg").samefile(args.data / "camvid/img_dir/train/1.jpg")

    finish(simmim, 60)
    for arm, score in zip(plan.arms, (30.0, 40.0, 32.0, 44.0)):
        finish(arm.train, 50)
        finish(arm.test, 10, mIoU=score, aAcc=80.0)
    table = write_report(plan.finished(), args.out).splitlines()
    assert table[0] == "| camvid, percent | mIoU | right px |"
    assert table[2:] == [
        "| from random weights | 31.0±1.4 | 80.0±0.0 |",
        "| from SimMIM's | 42.0±2.8 | 80.0±0.0 |",
    ]
    results = json.loads((args.out / "results.json").read_text())
    assert results["sets"]["camvid"]["simmim"]["mIoU"] == [40.0, 44.0]
    assert (args.out / "curves.png").stat().st_size > 5000


def test_pictures_that_are_not_there_are_named(args: Namespace) -> None:
    (args.data / "nuclei/train/1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="nuclei/train has no files: --data"):
        RUN.make_plan(args)


def test_the_schedule_ends_with_the_run() -> None:
    cfg = read_config(ROOT / "benchmarks/simmim/simmim_nano.py")
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs == RUN.EPOCHS
