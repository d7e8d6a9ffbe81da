"""The parts of the quick start that need no training."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import beside, best_guesses, draw_legend, paint_labels
from scores import small_iou
from tasks import DETECTION, SEGMENTATION

from mmswinv2.cli.stages import WEIGHTS, Stage, StageError, last_iteration
from mmswinv2.cli.transfer_plan import Plan, Row, format_cell

# A stage's command that counts its runs, saves a checkpoint and prints a log line.
SCRIPT = """
import sys, pathlib
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
(folder / 'last_checkpoint').write_text('/elsewhere/iter_4.pth')
with (folder.parent / 'runs').open('a') as runs:
    print(*sys.argv[1:], file=runs)
print('Iter(train) [4/8] loss: 1')
sys.exit((folder.parent / 'broken').exists())
"""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "mini.json").write_text("{}")
    (tmp_path / "script.py").write_text(SCRIPT)
    command = (str(tmp_path / "script.py"), "--cfg-options", "a=1")
    return Stage("a title", tmp_path / "stage", command, 5, tmp_path / "mini.json")


def run(stage: Stage) -> list[float]:
    shares: list[float] = []
    stage.run(shares.append, threading.Event())
    return shares


def runs(stage: Stage) -> list[str]:
    return (stage.folder.parent / "runs").read_text().splitlines()


def test_a_finished_stage_is_kept(stage: Stage):
    assert not stage.is_done()
    assert run(stage)[-1] == 1.0
    assert stage.is_done()
    assert run(stage) == [1.0]
    assert len(runs(stage)) == 1
    assert stage.record()["seconds"] > 0


def test_another_command_or_other_data_run_again(stage: Stage):
    run(stage)
    run(replace(stage, command=(*stage.command, "b=2")))
    assert len(runs(stage)) == 2
    stage.data.write_text('{"seed": 1}')
    run(replace(stage, command=(*stage.command, "b=2")))
    assert len(runs(stage)) == 3
    assert "--resume" not in "".join(runs(stage))


def test_a_changed_stage_takes_those_after_it_along(stage: Stage):
    later = replace(stage, folder=stage.folder.with_name("later"), after=stage)
    run(stage)
    run(later)
    changed = replace(stage, command=(*stage.command, "b=2"))
    assert later.is_done()
    assert not replace(later, after=changed).is_done()


def test_an_interrupted_stage_is_resumed(stage: Stage):
    broken = stage.folder.parent / "broken"
    broken.touch()
    with pytest.raises(StageError, match=r"a title: exit code 1; see .*log\.txt"):
        run(stage)
    assert not stage.is_done()
    broken.unlink()
    run(stage)
    assert "--resume" in runs(stage)[1]


def test_a_stage_starts_from_the_checkpoint_of_the_one_before(stage: Stage):
    later = replace(
        stage,
        folder=stage.folder.with_name("later"),
        command=(stage.command[0], f"load_from={WEIGHTS}"),
        after=stage,
    )
    run(stage)
    run(later)
    assert f"load_from={stage.folder / 'iter_4.pth'} " in runs(stage)[1]


def test_a_stage_stops_when_told(stage: Stage):
    Path(stage.command[0]).write_text("import time; time.sleep(60)")
    stop = threading.Event()
    stop.set()
    with pytest.raises(StageError):
        stage.run(lambda share: None, stop)
    assert not stage.is_done()


def test_progress_is_read_from_the_end_of_a_log(tmp_path: Path):
    log = tmp_path / "log.txt"
    log.write_text("starting\n")
    assert last_iteration(log) == (0, 1)
    log.write_text("Iter(train) [ 10/300]  lr: 1\nIter(train) [ 20/300]  lr: 1\n")
    assert last_iteration(log) == (20, 300)
    log.write_text("Iter(test) [ 7/10]    eta: 0:00:01\n")
    assert last_iteration(log) == (7, 10)


@pytest.mark.parametrize("task", [DETECTION, SEGMENTATION])
def test_only_fine_tuning_and_tests_start_from_weights(task: object, tmp_path: Path):
    plan = Plan(task, 3, tmp_path / "out", tmp_path / "mini", (40, 20))
    low, test_low, as_is, high, test_high = plan.stages()
    assert low.after is None
    assert test_low.after == as_is.after == high.after == low
    assert test_high.after == high
    assert "train_cfg.max_iters=40" in low.command
    assert "train_cfg.max_iters=20" in high.command
    assert "randomness.seed=3" in low.command
    assert test_low.command[1] != as_is.command[1] == test_high.command[1]


def test_the_control_trains_as_long_as_fine_tuning_did(tmp_path: Path):
    (tmp_path / "mini.json").write_text("{}")
    plan = Plan(DETECTION, 0, tmp_path / "out", tmp_path, (300, 100))
    for stage, seconds in ((plan.train_low(), 100.0), (plan.train_high(), 150.0)):
        stage.folder.mkdir(parents=True)
        record = dict(key=stage.key(), seconds=seconds, done=True)
        (stage.folder / "stage.json").write_text(json.dumps(record))
        (stage.folder / "log.txt").write_text("Iter(train) [300/300]")
    control = plan.train_control()
    assert "train_cfg.max_iters=450" in control.command
    assert control.after == plan.train_low()
    assert control.command[1] == plan.train_low().command[1]
    assert plan.test(Row.CONTROL).after == control


def test_the_iou_of_small_classes_leaves_out_unlabelled_pixels(tmp_path: Path):
    truth, found = tmp_path / "truth", tmp_path / "found"
    truth.mkdir()
    found.mkdir()
    true = np.array([[120, 120, 137, 149], [0, 0, 3, 3]], np.uint8)
    cv2.imwrite(str(truth / "a.png"), true)
    seen = np.array([[120, 3, 137, 149], [120, 149, 3, 149]], np.uint8)
    cv2.imwrite(str(found / "a.png"), seen)
    # ball 1 of 2, traffic light 1 of 1, clock 1 of 2
    assert small_iou(found, truth) == pytest.approx(100 * (0.5 + 1 + 0.5) / 3)


def test_a_cell_shows_mean_and_spread_of_several_seeds():
    assert format_cell([12.34]) == "12.3"
    assert format_cell([10.0, 12.0, 14.0]) == "12.0±2.0"


def test_panels_and_legend_are_drawn():
    picture = np.full((20, 30, 3), 100, np.uint8)
    labels = np.array([[0, 3], [149, 77]], np.uint8).repeat(5, 0).repeat(8, 1)
    panel = paint_labels(np.zeros((20, 32, 3), np.uint8), labels)
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) == 4
    sheet = beside(("truth", "found"), (picture, picture))
    assert sheet.shape == (46, 68, 3)
    assert (sheet[26:, :30] == 100).all()
    assert draw_legend(1300).std() > 20


def test_of_several_guesses_at_one_place_the_surest_is_drawn():
    guesses = [
        dict(bbox=[10, 10, 20, 20], score=0.31),
        dict(bbox=[11, 10, 20, 20], score=0.35),
        dict(bbox=[40, 40, 20, 20], score=0.9),
        dict(bbox=[90, 90, 20, 20], score=0.2),
    ]
    assert best_guesses(guesses) == [guesses[2], guesses[1]]
    assert best_guesses([]) == []
