"""What a start brought: results.json, a table and curves."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import torch
from arms import Comparison
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from outcome import describe_processor

from mmswinv2.cli.stages import Stage
from mmswinv2.cli.transfer_plan import format_cell
from mmswinv2.drawing.curves import COLORS, smooth
from mmswinv2.drawing.run_log import read_run


def write_report(finished: Comparison, out: Path) -> str:
    """Write results.json, table.md and curves.png.

    Args:
        finished (Comparison): What has finished.
        out (Path): The folder to write to.

    Returns:
        str: The table, in Markdown.
    """
    arms, starts = finished.arms, finished.starts
    sets = {arm.own.name: arm.own for arm in arms}
    results: dict = {
        name: {s: {} for s in starts if any(a.start == s for a in arms)}
        for name in sets
    }
    for arm in arms:
        cells = results[arm.own.name][arm.start]
        scores = arm.test.scores()
        cells.setdefault("seeds", []).append(arm.seed)
        for key in arm.own.scores:
            cells.setdefault(key, []).append(arm.own.factor * scores[key])
        cells.setdefault("seconds", []).append(arm.train.record()["seconds"])
    lines = []
    for name, of_set in results.items():
        own = sets[name]
        headings = [f"{name}, percent", *own.scores.values()]
        lines += ["", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
        for start, cells in of_set.items():
            if cells:
                values = " | ".join(format_cell(cells[key]) for key in own.scores)
                lines.append(f"| {starts[start]} | {values} |")
    table = "\n".join(lines[1:])
    record = dict(
        seeds=sorted({arm.seed for arm in arms}),
        machine=describe_machine(),
        torch=torch.__version__,
        pretraining_seconds={
            title: [stage.record()["seconds"] for stage in stages]
            for title, stages in finished.pretrainings.items()
        },
        sets=results,
    )
    (out / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    (out / "table.md").write_text(table + "\n")
    draw(finished).savefig(out / "curves.png", dpi=100)
    return table


def describe_machine() -> str:
    """The GPU if there is one, and the processor."""
    processor = describe_processor()
    if not torch.cuda.is_available():
        return processor
    return f"{torch.cuda.get_device_name()}; {processor}"


def draw(finished: Comparison) -> Figure:
    """Losses: a panel for each pre-training and each set, a line for each seed."""
    arms, starts = finished.arms, finished.starts
    names = list(dict.fromkeys(arm.own.name for arm in arms))
    shown = {k: stages for k, stages in finished.pretrainings.items() if stages}
    panels = len(shown) + len(names)
    figure = Figure(figsize=(4.2 * panels, 3.4), layout="constrained")
    every = list(figure.subplots(1, panels, squeeze=False).flat)
    for axes, (title, stages) in zip(every, shown.items()):
        for stage in stages:
            plot_loss(axes, stage, COLORS[2], None)
        axes.set_title(title, fontsize=10)
    for axes, name in zip(every[len(shown) :], names):
        finals: dict[str, list[dict[str, float]]] = {}
        for arm in (arm for arm in arms if arm.own.name == name):
            color = COLORS[list(starts).index(arm.start)]
            label = None if arm.start in finals else starts[arm.start]
            plot_loss(axes, arm.train, color, label)
            finals.setdefault(arm.start, []).append(arm.test.scores())
        own = next(arm.own for arm in arms if arm.own.name == name)
        key, heading = next(iter(own.scores.items()))
        means = [
            f"{own.factor * statistics.mean(s[key] for s in finals[start]):.1f}"
            for start in starts
            if start in finals
        ]
        axes.set_title(f"{name}: {heading} {', '.join(means)}", fontsize=10)
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
