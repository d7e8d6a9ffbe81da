"""Table, figure and numbers of the phases that have finished."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from protocol import (
    BIASES,
    CONTROL,
    FINETUNE,
    PRETRAIN,
    PRETRAIN_WINDOW,
    STRETCH,
    TRANSFER,
    Size,
    image_size,
    phases,
    runs,
    settings,
)

NAMES = {
    "table": "table (V1)",
    "linear_cpb": "linear CPB",
    "log_cpb": "log CPB",
    CONTROL: "none (control)",
}
COLOURS = {"table": "C3", "linear_cpb": "C1", "log_cpb": "C0", CONTROL: "0.5"}
TASKS = {"mIoU": "segmentation, mIoU", "AP": "detection, box AP"}
# Table 1 of the paper: top-1 on ImageNet of Swin V2-T, pre-trained at window 8.
PAPER_TASK = "paper: ImageNet, top-1"
PAPER_WINDOWS = (8, 12, 16, 20, 24)
PAPER = {
    "table": {
        TRANSFER: (81.7, 79.4, 77.2, 73.2, 68.7),
        FINETUNE: (82.7, 83.0, 83.2, 83.2),
    },
    "linear_cpb": {
        TRANSFER: (81.7, 82.0, 81.2, 79.8, 77.6),
        FINETUNE: (82.9, 83.3, 83.6, 83.7),
    },
    "log_cpb": {
        TRANSFER: (81.8, 82.4, 81.7, 80.4, 79.1),
        FINETUNE: (83.2, 83.8, 84.0, 84.2),
    },
}


@dataclass
class Results:
    """What has finished, as JSON has it.

    Attributes:
        size (Size): Size of the benchmark.
        entries (list[dict]): Results of phases.
    """

    size: Size
    entries: list[dict]

    def scores(self, name: str, bias: str, kind: str, window: int) -> list[float]:
        """A score of every seed; at the window of pre-training all kinds are one."""
        kind = PRETRAIN if window == PRETRAIN_WINDOW else kind
        wanted = (bias, kind, window)
        return [
            entry[name]
            for entry in self.entries
            if (entry["bias"], entry["kind"], entry["window"]) == wanted
        ]

    @property
    def windows(self) -> tuple[int, ...]:
        """All windows, that of pre-training first."""
        return PRETRAIN_WINDOW, *self.size.windows


def collect(out: Path, size: Size) -> Results:
    """Read the results in a folder."""
    found = (p.result(out, size) for run in runs(size) for p in phases(*run, size))
    unneeded = ("settings", "losses")
    return Results(
        size, [{k: v for k, v in r.items() if k not in unneeded} for r in found if r]
    )


def write_report(out: Path, size: Size) -> Path | None:
    """Write ``table.md``, ``figure.png`` and ``results.json`` into a folder.

    Args:
        out (Path): Folder of the results.
        size (Size): Size of the benchmark.

    Returns:
        Path | None: The table; None where nothing has finished.
    """
    results = collect(out, size)
    if not results.entries:
        return None
    numbers = dict(settings=settings(size), results=results.entries)
    (out / "results.json").write_text(json.dumps(numbers, indent=1) + "\n")
    draw_figure(results).savefig(out / "figure.png", dpi=110)
    table = out / "table.md"
    table.write_text(f"{main_table(results)}\n\n{analysis_table(results)}\n")
    return table


def summary(values: list[float]) -> str:
    """Mean and standard deviation: '81.2 ± 0.4', '81.2' of one, '-' of none."""
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def header(results: Results, *first: str) -> str:
    """First two lines of a table with a column for every window."""
    columns = [f"w{w}, {image_size(w, results.size)} px" for w in results.windows]
    cells = [*first, *columns]
    return "\n".join((row(cells), row(["---"] * len(cells))))


def row(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def main_table(results: Results) -> str:
    """As the paper's Table 1: without / with fine-tuning."""
    lines = [header(results, "task", "position bias")]
    for name, task in TASKS.items():
        for bias in (*BIASES, CONTROL):
            cells = []
            for window in results.windows:
                kinds = [TRANSFER, FINETUNE]
                if bias == CONTROL or window == PRETRAIN_WINDOW:
                    kinds.remove(FINETUNE)
                scores = (results.scores(name, bias, kind, window) for kind in kinds)
                cells.append(" / ".join(map(summary, scores)))
            lines.append(row([task, NAMES[bias], *cells]))
    for bias, paper in PAPER.items():
        cells = []
        for window in results.windows:
            i = PAPER_WINDOWS.index(window)
            tuned = f" / {paper[FINETUNE][i - 1]}" if i else ""
            cells.append(f"{paper[TRANSFER][i]}{tuned}")
        lines.append(row([f"*{PAPER_TASK}*", NAMES[bias], *cells]))
    return "\n".join(lines)


def analysis_table(results: Results) -> str:
    """What goes wrong without fine-tuning: direction / distance named right."""
    lines = [header(results, "normaliser", "position bias")]
    for kind, normaliser in ((TRANSFER, "as pre-trained"), (STRETCH, "new window")):
        for bias in (*BIASES, CONTROL):
            if kind == STRETCH and not bias.endswith("cpb"):
                continue
            cells = [
                " / ".join(
                    summary(results.scores(name, bias, kind, window))
                    for name in ("direction", "distance")
                )
                for window in results.windows
            ]
            lines.append(row([normaliser, NAMES[bias], *cells]))
    return "\n".join(lines)


def draw_figure(results: Results) -> Figure:
    """Scores over windows: without fine-tuning above, with it below."""
    figure = Figure(figsize=(10.5, 6), layout="constrained")
    grid = figure.subplots(2, 3, sharex="col", sharey="col")
    rows = ((TRANSFER, "as pre-trained"), (FINETUNE, "fine-tuned"))
    for axes, (kind, what) in zip(grid, rows):
        for ax, (name, task) in zip(axes, TASKS.items()):
            for bias in (*BIASES, CONTROL):
                if bias != CONTROL or kind == TRANSFER:
                    draw_curve(ax, results, name, bias, kind)
            ax.set_title(f"{task}: {what}", fontsize=10)
        for bias, paper in PAPER.items():
            values = [paper[TRANSFER][0], *paper[kind][-4:]]
            axes[2].plot(PAPER_WINDOWS, values, ":o", color=COLOURS[bias], markersize=3)
        axes[2].set_title(f"{PAPER_TASK}: {what}", fontsize=10)
    for ax in grid[1]:
        sizes = [f"{w}\n{image_size(w, results.size)} px" for w in results.windows]
        ax.set_xticks(results.windows, sizes, fontsize=8)
    grid[1, 2].set_xticks(PAPER_WINDOWS, [f"{w}\n{32 * w} px" for w in PAPER_WINDOWS])
    for ax in grid.flat:
        ax.grid(alpha=0.3)
        ax.tick_params(labelsize=8)
    figure.supxlabel("window in tokens, and picture", fontsize=9)
    figure.supylabel("percent", fontsize=9)
    grid[0, 1].legend(fontsize=8)
    return figure


def draw_curve(ax: Axes, results: Results, name: str, bias: str, kind: str) -> None:
    """Mean and standard deviation over seeds of what has finished."""
    scores = {w: results.scores(name, bias, kind, w) for w in results.windows}
    scores = {window: values for window, values in scores.items() if values}
    ax.errorbar(
        [*scores],
        [statistics.mean(values) for values in scores.values()],
        [statistics.stdev(v) if len(v) > 1 else 0 for v in scores.values()],
        color=COLOURS[bias],
        label=NAMES[bias],
        marker="o",
        markersize=3,
        capsize=2,
    )
