"""Curves of runs, from what they have logged."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import Tool

from mmswinv2.drawing.curves import smooth
from mmswinv2.drawing.run_log import read_run

PLOT = "tools/plot_run.py"


def log(run: Path, start: str, *rows: dict) -> Path:
    """One start of a run, as mmengine's LocalVisBackend leaves it."""
    file = run / start / "vis_data/scalars.json"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def trained(*steps: int, **others: float) -> list[dict]:
    return [dict(lr=0.1, loss=9.0 - s, step=s, iter=s, **others) for s in steps]


def test_a_resumed_run_is_one_curve(tmp_path: Path) -> None:
    """Iterations that were done twice count as done last; a cut line is left out."""
    file = log(tmp_path, "1", *trained(1, 2, 3, 4), {"mIoU": 20.0, "step": 4})
    file.write_text(file.read_text() + '{"lr": 0.1, "lo')
    log(tmp_path, "2", *trained(3, 4, 5), {"mIoU": 30.0, "step": 5})
    run = read_run(tmp_path)
    assert [step for step, _ in run.train["loss"]] == [1, 2, 3, 4, 5]
    assert run.metrics["mIoU"] == [(5, 30.0)]
    log(tmp_path, "3", *trained(1, 2))
    run = read_run(tmp_path)
    assert [step for step, _ in run.train["loss"]] == [1, 2]
    assert run.metrics["mIoU"] == []


def test_evaluations_that_count_epochs_stand_at_their_iteration(
    tmp_path: Path,
) -> None:
    """Which is that of the last line before them; AP of -1 is none."""
    metrics = {"coco/bbox_mAP": 0.3, "coco/bbox_mAP_l": -1.0, "time": 2.0, "step": 1}
    log(tmp_path, "1", *trained(50, 100, epoch=1), metrics)
    assert read_run(tmp_path).metrics == {"coco/bbox_mAP": [(100, 0.3)]}


def test_smoothing_has_no_bias() -> None:
    """Constants stay, and what is no number is passed over."""
    assert np.allclose(smooth([2.0] * 5, 3), 2)
    assert np.isfinite(smooth([1.0, float("nan"), 2.0], 3)).all()
    assert smooth([0.0, 1.0], 3)[-1] == pytest.approx(2 / 3)


def test_runs_are_drawn_over_each_other(tool: Tool, tmp_path: Path) -> None:
    """Of both tasks, with windows where they were logged."""
    window = dict(window_size=8.0, image_scale=0.5)
    detection = {"coco/bbox_mAP": 0.3, "step": 3}
    log(tmp_path / "det", "1", *trained(1, 2, 3, loss_cls=1.0, **window), detection)
    log(tmp_path / "seg", "1", *trained(1, 2, 3), {"mIoU": 30.0, "step": 3})
    assert "curves: det/curves.png" in tool(PLOT, "det")
    one = cv2.imread("det/curves.png")
    tool(PLOT, "det", "seg", "--out", "new/both.png")
    both = cv2.imread("new/both.png")
    # parts of the loss are drawn of one run alone; six panels or five
    assert one.shape == both.shape
    second = np.array([0x00, 0x5E, 0xD5])  # B, G, R
    assert (both == second).all(-1).sum() > 100


def test_runs_without_an_evaluation_have_no_panel_for_it(tool: Tool, tmp_path: Path):
    """Loss and learning rate in one row; metrics would begin a second one."""
    log(tmp_path / "a", "1", *trained(1, 2, 3))
    log(tmp_path / "b", "1", *trained(1, 2, 3))
    tool(PLOT, "a", "b")
    one_row = len(cv2.imread("a/curves.png"))
    log(tmp_path / "c", "1", *trained(1, 2, 3), {"mIoU": 30.0, "step": 3})
    tool(PLOT, "a", "c")
    assert len(cv2.imread("a/curves.png")) == 2 * one_row


def test_what_is_no_run_is_said(tool: Tool, tmp_path: Path) -> None:
    """No folder, no log, no numbers, no picture."""
    assert "give the work dir of a run" in tool.fails(PLOT, "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no work dir of a training run" in tool.fails(PLOT, "empty")
    log(tmp_path / "started", "1")
    assert "has no numbers yet" in tool.fails(PLOT, "started")
    log(tmp_path / "run", "1", *trained(1))
    assert "ends with .png" in tool.fails(PLOT, "run", "--out", "curves.xls")
