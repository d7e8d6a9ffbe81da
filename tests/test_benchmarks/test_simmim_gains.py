"""The benchmark of SimMIM: what it plans and what it reports, untrained."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
from tiny import ROOT, load_script

from mmswinv2.cli.stages import WEIGHTS, Stage
from mmswinv2.config_types import read_config

RUN = load_script("benchmarks/simmim/run.py")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A picture where each set has some, and no more."""
    for name in (*RUN.PICTURES, "camvid/ann_dir/train"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    return tmp_path / "data"


def finish(stage: Stage, seconds: float, logged: str, **scores: float) -> None:
    """Leave behind what a stage leaves when it has finished."""
    times = stage.folder / "20260101_000000"
    (times / "vis_data").mkdir(parents=True)
    record = dict(key=stage.key(), seconds=seconds, done=True)
    (stage.folder / "stage.json").write_text(json.dumps(record))
    (times / f"{times.name}.json").write_text(json.dumps(scores))
    (times / "vis_data" / "scalars.json").write_text(logged)


def test_both_starts_differ_in_the_weights_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RUN, "write_config", lambda *args, **kwargs: None)
    simmim = RUN.plan_pretraining(data, tmp_path / "out", epochs=7)
    args = Namespace(data=data, out=tmp_path / "out", sets=["camvid"], seeds=[0, 1])
    arms = RUN.plan_arms(args, simmim)
    assert [(arm.start, arm.seed) for arm in arms] == [
        *(("scratch", 0), ("simmim", 0), ("scratch", 1), ("simmim", 1))
    ]
    scratch, pretrained = (arm.train for arm in arms[:2])
    assert pretrained.command[: len(scratch.command)] == scratch.command
    assert pretrained.command[len(scratch.command) :] == (
        "model.backbone.init_cfg.type=Pretrained",
        f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
    )
    assert scratch.after is None and pretrained.after is simmim
    links = sorted((tmp_path / "out" / "pictures").iterdir())
    assert [p.name for p in links] == ["camvid", "imagenet-samples", "nuclei"]
    assert (links[0] / "1.jpg").samefile(data / "camvid/img_dir/train/1.jpg")

    logged = "\n".join(
        json.dumps({"lr": 1e-3, "loss": 2.0 / step, "step": step}) for step in (1, 2, 3)
    )
    finish(simmim, 60, logged)
    for arm, score in zip(arms, (30.0, 40.0, 32.0, 44.0)):
        finish(arm.train, 50, logged)
        finish(arm.test, 10, "", mIoU=score, aAcc=80.0)
    table = RUN.write_report(simmim, arms, tmp_path / "out").splitlines()
    assert table[0] == "| camvid, percent | mIoU | right px |"
    assert table[2:] == [
        "| from random weights | 31.0±1.4 | 80.0±0.0 |",
        "| from SimMIM's | 42.0±2.8 | 80.0±0.0 |",
    ]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["sets"]["camvid"]["simmim"]["mIoU"] == [40.0, 44.0]
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5000


def test_pictures_that_are_not_there_are_named(data: Path, tmp_path: Path) -> None:
    (data / "nuclei/train/1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="nuclei/train has no files: --data"):
        RUN.plan_pretraining(data, tmp_path / "out", epochs=1)


def test_the_schedule_ends_with_the_run() -> None:
    cfg = read_config(ROOT / "benchmarks/simmim/simmim_nano.py")
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs == RUN.EPOCHS
