"""The two tasks of the quick start."""

from __future__ import annotations

from mmswinv2.cli.transfer_plan import Task
from mmswinv2.places import CONFIG_DIR

MINI = CONFIG_DIR / "mini"
DETECTION = Task(
    name="detection",
    low=MINI / "mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px.py",
    high=MINI / "mask-rcnn_swinv2-nano-p4-w16_fpn_mini-256px.py",
    keep="test_evaluator.outfile_prefix",
    seconds=(110, 12, 120, 14),
    manifest="mini.json",
    data_root="coco",
)
SEGMENTATION = Task(
    name="segmentation",
    low=MINI / "swinv2-nano-p4-w8_upernet_mini-128px.py",
    high=MINI / "swinv2-nano-p4-w16_upernet_mini-256px.py",
    keep="test_evaluator.output_dir",
    seconds=(120, 11, 160, 15),
    manifest="mini.json",
    data_root="ade/ADEChallengeData2016",
)
TASKS = (DETECTION, SEGMENTATION)
