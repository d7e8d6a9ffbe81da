"""What was measured on the sets: results.json, a table and a figure."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from real_sets import SETS, WINDOWS, OwnSet

from mmswinv2.cli.transfer_plan import Plan, Row, format_cell

Cells = dict[str, list[float]]  # by key of the evaluator, one value a seed


def write_report(
    plans: Mapping[str, Sequence[Plan]],
    rows: Sequence[Row],
    seeds: Sequence[int],
    out: Path,
) -> str:
    """Write results.json, table.md and figure.png.

    Args:
        plans (Mapping[str, Sequence[Plan]]): By set, one plan a seed; all tests of the
            rows have finished.
        rows (Sequence[Row]): The rows that were measured.
        seeds (Sequence[int]): The seeds.
        out (Path): The folder to write to.

    Returns:
        str: The table, in Markdown.
    """
    results = {
        name: {row.value: read_cells(SETS[name], of_set, row) for row in rows}
        for name, of_set in plans.items()
    }
    table = "\n\n".join(format_table(SETS[name], r) for name, r in results.items())
    record = dict(
        seeds=list(seeds),
        processor=describe_processor(),
        torch=torch.__version__,
        sets=results,
    )
    (out / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    (out / "table.md").write_text(table + "\n")
    figure = draw(results)
    figure.savefig(out / "figure.png", dpi=100)
    plt.close(figure)
    return table


def read_cells(own: OwnSet, plans: Sequence[Plan], row: Row) -> Cells:
    """Scores in percent and seconds of the training before, one value a seed."""
    cells: Cells = {}
    for plan in plans:
        scores = plan.scores(row)
        for key in own.scores:
            cells.setdefault(key, []).append(own.factor * scores[key])
        seconds = plan.test(row).after.record()["seconds"]
        cells.setdefault("seconds", []).append(seconds)
    return cells


def format_table(own: OwnSet, results: Mapping[str, Cells]) -> str:
    """One set's table: rows as in the plan, a column for each score.

    Examples:
        >>> print(format_table(BLOOD, results))
        | blood, percent | box mAP | box AP 50 | training |
    """
    headings = [f"{own.name}, percent", *own.scores.values(), "training"]
    lines = [headings, ["---"] * len(headings)]
    for row, cells in results.items():
        high = row in (Row.AS_IS.value, Row.HIGH.value)
        name = f"{row}: {own.scales[high]} px, window {WINDOWS[high]}"
        scores = [format_cell(cells[key]) for key in own.scores]
        seconds = statistics.mean(cells["seconds"])
        took = "-" if row == Row.AS_IS.value else f"{seconds:.0f} s"
        lines.append([name, *scores, took])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(results: Mapping[str, Mapping[str, Cells]]) -> Figure:
    """A panel for each set: every seed's way through the rows, by the first score."""
    figure, axes = plt.subplots(
        1, len(results), figsize=(4.2 * len(results), 3.4), squeeze=False
    )
    for axis, (name, rows) in zip(axes[0], results.items()):
        key, heading = next(iter(SETS[name].scores.items()))
        values = [cells[key] for cells in rows.values()]
        axis.bar(range(len(rows)), [statistics.mean(v) for v in values], color="0.85")
        for seed in zip(*values):
            axis.plot(range(len(rows)), seed, "o-", linewidth=1, markersize=4)
        axis.set_xticks(range(len(rows)), [row.replace(", ", ",\n") for row in rows])
        axis.tick_params(axis="x", labelsize=8)
        axis.set_title(f"{name}: {heading}, percent", fontsize=10)
    figure.tight_layout()
    return figure


def describe_processor() -> str:
    """The processor's name and whether it has AVX-512, as Linux says."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor()
    lines = (line.split(":", 1) for line in cpuinfo.read_text().splitlines())
    facts = {line[0].strip(): line[1].strip() for line in lines if len(line) == 2}
    name = facts.get("model name", platform.machine())
    family = f"family {facts['cpu family']}, " if "cpu family" in facts else ""
    avx512 = "avx512f" in facts.get("flags", "").split()
    return f"{name}, {family}{'with' if avx512 else 'without'} AVX-512"
