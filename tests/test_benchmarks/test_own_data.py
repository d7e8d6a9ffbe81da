"""The experiment on real pictures: what it plans and what it reports, untrained."""

import json
import sys
from pathlib import Path

import pytest
from tiny import load_script

from mmswinv2.cli.transfer_plan import Plan, Row, Task

RUN = load_script("benchmarks/own_data/run.py")


def finish(plan: Plan, row: Row, seconds: float, **scores: float) -> None:
    """Leave behind what the stages of a row leave when they have finished."""
    test = plan.test(row)
    for stage in (test.after, test):
        stage.folder.mkdir(parents=True, exist_ok=True)
        record = dict(key=stage.key(), seconds=seconds, done=True)
        (stage.folder / "stage.json").write_text(json.dumps(record))
    for time, values in (("20260101_000000", {}), ("20260102_000000", scores)):
        (test.folder / time).mkdir()
        (test.folder / time / f"{time}.json").write_text(json.dumps(values))


@pytest.fixture
def plans(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "camvid.json").write_text("{}")
    configs = tmp_path / "configs"
    low, high = configs / "low.py", configs / "high.py"
    task = Task("camvid", low, high, "keep", (1, 1, 1, 1), "camvid.json")
    plans = [Plan(task, seed, tmp_path, tmp_path / "data") for seed in (0, 1)]
    for plan, gain in zip(plans, (0.0, 4.0)):
        finish(plan, Row.LOW, 60, mIoU=30.0 + gain, aAcc=80.0)
        finish(plan, Row.AS_IS, 60, mIoU=20.0 + gain, aAcc=70.0)
        finish(plan, Row.HIGH, 90, mIoU=40.0 + gain, aAcc=85.0)
    return plans


def test_the_report_has_the_newest_scores_of_every_seed(plans, tmp_path):
    rows = (Row.LOW, Row.AS_IS, Row.HIGH)
    table = RUN.write_report({"camvid": plans}, rows, (0, 1), tmp_path)
    lines = table.splitlines()
    assert lines[0] == "| camvid, percent | mIoU | right px | training |"
    assert lines[2].endswith("128 px, window 8 | 32.0±2.8 | 80.0±0.0 | 60 s |")
    assert lines[3].endswith("256 px, window 16 | 22.0±2.8 | 70.0±0.0 | - |")
    assert lines[4].endswith("256 px, window 16 | 42.0±2.8 | 85.0±0.0 | 90 s |")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["sets"]["camvid"][Row.HIGH.value]["mIoU"] == [40.0, 44.0]
    assert "AVX-512" in results["processor"] or sys.platform != "linux"
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_a_config_is_written_for_each_resolution(tmp_path):
    words = RUN.SETS["nuclei"].new_config(Path("/d"), Path("x.py"), high=True)
    told = dict(zip(words[1::2], words[2::2]))
    assert told["--train"] == "/d/nuclei/annotations/instances_train.json"
    assert (told["--scale"], told["--window"]) == ("256", "16")
    words = RUN.SETS["camvid"].new_config(Path("/d"), Path("x.py"), high=False)
    told = dict(zip(words[1::2], words[2::2]))
    assert (told["--scale"], told["--window"]) == ("128", "8")
    assert len(Path(told["--classes"]).read_text().splitlines()) == 11


def test_a_set_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    command = ["run.py", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*command, "--sets", "blood"])
    assert RUN.main() == 1
    assert f"{tmp_path / 'blood'} has no files: --data" in capsys.readouterr().err
