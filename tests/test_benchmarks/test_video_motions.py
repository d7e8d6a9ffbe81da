"""The benchmark of moving shapes: what it plans and what it reports, untrained."""

import json
from pathlib import Path

import pytest
from tiny import load_script

from mmswinv2.cli.stages import WEIGHTS, Stage
from mmswinv2.config_types import read_config

RUN = load_script("benchmarks/video/run.py")


def finish(stage: Stage, scores: dict[str, float], *rows: dict) -> None:
    """Leave behind what a stage leaves when it has finished."""
    times = stage.folder / "20260101_000000"
    (times / "vis_data").mkdir(parents=True)
    record = dict(key=stage.key(), seconds=60.0, done=True)
    (stage.folder / "stage.json").write_text(json.dumps(record))
    (times / f"{times.name}.json").write_text(json.dumps(scores))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (times / "vis_data" / "scalars.json").write_text(lines)


def test_all_starts_train_alike(tmp_path: Path) -> None:
    """But for the weights or the frames; tests see what training saw."""
    data, out = tmp_path / "clips", tmp_path / "out"
    for folder in (data, tmp_path / "mini"):
        folder.mkdir()
        (folder / "mini.json").write_text("{}")
    detector = RUN.plan_detector(tmp_path / "mini", out)
    arms = [
        RUN.plan_arm(start, seed, 200, data, out, detector)
        for seed in (0, 1)
        for start in RUN.STARTS
    ]
    scratch, inflated, frame = (arm.train for arm in arms[:3])
    common = len(scratch.command)
    assert inflated.command[:common] == frame.command[:common] == scratch.command
    assert inflated.command[common:] == (
        "model.backbone.init_cfg.type=Pretrained",
        f"model.backbone.init_cfg.checkpoint={WEIGHTS}",
    )
    assert inflated.after is detector and scratch.after is frame.after is None
    one_frame = tuple(
        f"{split}_dataloader.dataset.pipeline.0.clip_len=1"
        for split in ("train", "val", "test")
    )
    assert frame.command[common:] == one_frame
    assert arms[2].test.command[-3:] == one_frame
    assert arms[0].test.command[-1] == f"data_root={data}"
    for arm, last in zip(arms, (80.0, 70.0, 12.0, 90.0, 80.0, 14.0)):
        rows = []
        for step, share in ((50, 0.5), (100, 1.0)):
            rows.append(dict(lr=1e-3, loss=2.0, step=step))
            rows.append({"accuracy/top1": share * last, "step": step})
        finish(arm.train, {}, *rows)
        finish(arm.test, {"accuracy/top1": last + 1})
    table = RUN.write_report(arms, out).splitlines()
    assert table[2:] == [
        "| from random weights | 85.0±7.1 | 86.0±7.1 |",
        "| from a detector of pictures, inflated | 75.0±7.1 | 76.0±7.1 |",
        "| from random weights, one frame | 13.0±1.4 | 14.0±1.4 |",
        "| chance | 12.5 | 12.5 |",
    ]
    results = json.loads((out / "results.json").read_text())
    assert results["starts"]["frame"]["by iteration"][1] == [[50, 7.0], [100, 14.0]]
    assert (out / "curves.png").stat().st_size > 5000


def test_the_schedule_is_the_configs() -> None:
    """What the benchmark sets is what the config has, but for the validations."""
    cfg = read_config(RUN.CONFIG)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == RUN.ITERATIONS
    assert cfg.param_scheduler[0].end == RUN.ITERATIONS // 10
    for split in ("train", "val", "test"):
        sample = cfg[f"{split}_dataloader"].dataset.pipeline[0]
        assert sample.type == "mmswinv2.SampleFrames" and sample.clip_len == 8


def test_bad_input_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data of somebody else are left alone."""
    (tmp_path / "mini-clips").mkdir()
    (tmp_path / "mini-clips" / "mine.txt").write_text("mine")
    arguments = ["run.py", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    assert RUN.main() == 1
    assert "was not written by make_mini.py" in capsys.readouterr().err
