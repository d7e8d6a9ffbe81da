"""What was learnt of moving shapes: results.json, a table, curves, and some clips."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from outcome import describe_processor

from mmswinv2.cli.stages import Stage
from mmswinv2.cli.transfer_plan import format_cell
from mmswinv2.drawing.curves import COLORS, smooth
from mmswinv2.drawing.run_log import read_run
from mmswinv2.video.moving_shapes import CLASSES, draw_clip

STARTS = {
    "scratch": "from random weights",
    "inflated": "from a detector of pictures, inflated",
    "frame": "from random weights, one frame",
}
METRIC = "accuracy/top1"


@dataclass(frozen=True)
class Arm:
    """A training from one start with one seed, and its test.

    Args:
        start (str): One of ``STARTS``.
        seed (int): Of the training.
        train (Stage): The training, which validates on one view at times.
        test (Stage): The test of its last weights on several views.
    """

    start: str
    seed: int
    train: Stage
    test: Stage


def write_report(arms: Sequence[Arm], out: Path) -> str:
    """Write results.json, table.md, curves.png and clips.png.

    Args:
        arms (Sequence[Arm]): All trainings; their tests have finished.
        out (Path): The folder to write to.

    Returns:
        str: The table, in Markdown.
    """
    results: dict[str, dict[str, list]] = {}
    for arm in arms:
        cells = results.setdefault(arm.start, {})
        validated = read_run(arm.train.folder).metrics[METRIC]
        for key, value in (
            ("one view", validated[-1][1]),
            ("2 clips x 3 crops", arm.test.scores()[METRIC]),
            ("seconds", arm.train.record()["seconds"]),
            ("by iteration", validated),
        ):
            cells.setdefault(key, []).append(value)
    views = ("one view", "2 clips x 3 crops")
    lines = [f"| accuracy, percent | {' | '.join(views)} |", "| --- | --- | --- |"]
    for start, cells in results.items():
        values = " | ".join(format_cell(cells[key]) for key in views)
        lines.append(f"| {STARTS[start]} | {values} |")
    lines.append(f"| chance | {' | '.join([f'{100 / len(CLASSES):.1f}'] * 2)} |")
    table = "\n".join(lines)
    record = dict(
        seeds=sorted({arm.seed for arm in arms}),
        processor=describe_processor(),
        torch=torch.__version__,
        starts=results,
    )
    (out / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    (out / "table.md").write_text(table + "\n")
    draw(arms).savefig(out / "curves.png", dpi=100)
    draw_clips().savefig(out / "clips.png", dpi=60)
    return table


def draw(arms: Sequence[Arm]) -> Figure:
    """Loss of training and accuracy in validation, a line for each start and seed."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    of_loss, of_accuracy = figure.subplots(1, 2)
    finals: dict[str, list[float]] = {}
    for arm in arms:
        run = read_run(arm.train.folder)
        color = COLORS[list(STARTS).index(arm.start)]
        for axes, points, span in (
            (of_loss, run.train["loss"], 5),
            (of_accuracy, run.metrics[METRIC], 1),
        ):
            steps, values = zip(*points)
            axes.plot(steps, smooth(values, span), color=color, linewidth=1.2)
        finals.setdefault(arm.start, []).append(run.metrics[METRIC][-1][1])
    for start, values in finals.items():
        label = f"{STARTS[start]}: {statistics.mean(values):.0f} %"
        color = COLORS[list(STARTS).index(start)]
        of_accuracy.plot([], [], color=color, label=label)
    chance = dict(color="grey", linestyle=":", label="chance")
    of_accuracy.axhline(100 / len(CLASSES), **chance)
    of_accuracy.set_ylim(0, 100)
    _label(of_loss, "training loss")
    _label(of_accuracy, "accuracy on one view, percent")
    of_accuracy.legend(frameon=False, fontsize=8)
    return figure


def draw_clips(frames: int = 8, interval: int = 2) -> Figure:
    """A clip of each class, drawn as those of the data are, a class a row."""
    figure = Figure(figsize=(frames * 1.1, len(CLASSES)), layout="constrained")
    rows = figure.subplots(len(CLASSES), frames)
    for number, (name, row) in enumerate(zip(CLASSES, rows)):
        clip = draw_clip(np.random.default_rng([1, number]), name, height=64)
        for axes, picture in zip(row, clip.frames[::interval]):
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name.replace("turn ", ""), fontsize=8)
    return figure


def _label(axes: Axes, name: str) -> None:
    axes.set_xlabel("iteration", fontsize=8)
    axes.set_ylabel(name, fontsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
