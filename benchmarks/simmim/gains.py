"""What SimMIM brought: results.json, a table and curves."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from outcome import describe_processor
from real_sets import OwnSet

from mmswinv2.cli.stages import Stage
from mmswinv2.cli.transfer_plan import format_cell
from mmswinv2.drawing.curves import COLORS, smooth
from mmswinv2.drawing.run_log import read_run

STARTS = {"scratch": "from random weights", "simmim": "from SimMIM's"}


@dataclass(frozen=True)
class Arm:
    """Training on one set from one start with one seed, and its test.

    Args:
        own (OwnSet): The set.
        start (str): One of ``STARTS``.
        seed (int): Of the training.
        train (Stage): The training.
        test (Stage): The test of its last weights.
    """

    own: OwnSet
    start: str
    seed: int
    train: Stage
    test: Stage


def write_report(simmim: Stage, arms: Sequence[Arm], out: Path) -> str:
    """Write results.json, table.md and curves.png.

    Args:
        simmim (Stage): The pre-training.
        arms (Sequence[Arm]): All trainings; their tests have finished.
        out (Path): The folder to write to.

    Returns:
        str: The table, in Markdown.
    """
    results: dict = {}
    for arm in arms:
        cells = results.setdefault(arm.own.name, {}).setdefault(arm.start, {})
        scores = arm.test.scores()
        for key in arm.own.scores:
            cells.setdefault(key, []).append(arm.own.factor * scores[key])
        cells.setdefault("seconds", []).append(arm.train.record()["seconds"])
    sets = {arm.own.name: arm.own for arm in arms}
    lines = []
    for name, of_set in results.items():
        own = sets[name]
        headings = [f"{name}, percent", *own.scores.values()]
        lines += ["", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
        for start, cells in of_set.items():
            values = " | ".join(format_cell(cells[key]) for key in own.scores)
            lines.append(f"| {STARTS[start]} | {values} |")
    table = "\n".join(lines[1:])
    record = dict(
        seeds=sorted({arm.seed for arm in arms}),
        processor=describe_processor(),
        torch=torch.__version__,
        simmim_seconds=simmim.record()["seconds"],
        sets=results,
    )
    (out / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    (out / "table.md").write_text(table + "\n")
    draw(simmim, arms).savefig(out / "curves.png", dpi=100)
    return table


def draw(simmim: Stage, arms: Sequence[Arm]) -> Figure:
    """The loss of SimMIM, and of both starts on each set, a line for each seed."""
    names = list(dict.fromkeys(arm.own.name for arm in arms))
    figure = Figure(figsize=(4.2 * (len(names) + 1), 3.4), layout="constrained")
    first, *others = figure.subplots(1, len(names) + 1)
    plot_loss(first, simmim, COLORS[2], "SimMIM")
    first.set_title("SimMIM, pictures without labels", fontsize=10)
    for axes, name in zip(others, names):
        finals = {}
        for arm in arms:
            if arm.own.name == name:
                color = COLORS[list(STARTS).index(arm.start)]
                label = None if arm.start in finals else STARTS[arm.start]
                plot_loss(axes, arm.train, color, label)
                finals.setdefault(arm.start, []).append(arm.test.scores())
        own = next(arm.own for arm in arms if arm.own.name == name)
        key, heading = next(iter(own.scores.items()))
        means = [
            f"{own.factor * statistics.mean(s[key] for s in scores):.1f}"
            for scores in finals.values()
        ]
        axes.set_title(f"{name}: {heading} {' and '.join(means)}", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    return figure


def plot_loss(axes: Axes, stage: Stage, color: str, label: str | None) -> None:
    """The smoothed training loss of a stage."""
    points = read_run(stage.folder).train["loss"]
    steps, values = zip(*points)
    axes.plot(steps, smooth(values, 8), color=color, linewidth=1.2, label=label)
    axes.set_xlabel("iteration", fontsize=8)
    axes.set_ylabel("loss", fontsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
