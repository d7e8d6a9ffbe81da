"""Curves of training runs: losses, metrics, learning rate and windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .run_log import RunLog, Series

# Okabe and Ito's, which people of all kinds of colour vision tell apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Of the metrics, as their names end: those that are drawn if they are there
METRICS = (
    *("bbox_mAP", "segm_mAP", "mIoU", "top1", "top5"),
    *("bbox_mAP_50", "segm_mAP_50", "mAcc", "aAcc"),
)
PARTS = 7  # of a loss
# What is drawn as it is, where it was logged: key, title, unit
STEPS = (
    ("lr", "learning rate", "learning rate"),
    ("window_size", "window of stage 0", "tokens"),
    ("image_scale", "size of training images", "of the full size"),
)


def plot_runs(runs: Sequence[RunLog], file: str | Path) -> None:
    """Draws runs over each other into one picture.

    Args:
        runs (Sequence[RunLog]): In the order of the legend.
        file (str | Path): PNG, SVG or PDF; its folder is made.
    """
    panels = [_plot_loss]
    if len(runs) == 1 and _losses(runs[0]):
        panels.append(_plot_parts)
    if any(points for run in runs for points in run.metrics.values()):
        panels.append(_plot_metrics)
    for key, title, unit in STEPS:
        values = [v for run in runs for _, v in run.train.get(key, ())]
        if values and (key != "image_scale" or min(values) < 1):
            panels.append(partial(_plot_steps, key=key, title=title, unit=unit))
    columns = 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(12, 3.8 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for axes, plot in zip(grid, panels):
        plot(axes, runs)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", frameon=False)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    names = ", ".join(run.name for run in runs)
    figure.suptitle(names if len(names) < 100 else f"{len(runs)} runs")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def smooth(values: Sequence[float], span: float) -> np.ndarray:
    """Exponential moving average over about ``span`` values, without a bias to 0."""
    keep = 1 - 2 / (span + 1)
    total = weight = 0.0
    result = []
    for value in values:
        if np.isfinite(value):
            total, weight = total * keep + value, weight * keep + 1
        result.append(total / weight if weight else np.nan)
    return np.array(result)


def _colors(count: int) -> list:
    if count <= len(COLORS):
        return list(COLORS[:count])
    return [colormaps["viridis"](i / (count - 1)) for i in range(count)]


def _plot_smoothed(axes: Axes, points: Sequence, label: str, color: object) -> None:
    steps, values = np.array(points).T
    axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
    span = max(len(values) / 25, 3)
    axes.plot(steps, smooth(values, span), color=color, label=label)


def _plot_loss(axes: Axes, runs: Sequence[RunLog]) -> None:
    for run, color in zip(runs, _colors(len(runs))):
        if points := run.train.get("loss"):
            _plot_smoothed(axes, points, run.name, color)
    axes.set_title("loss (pale: as logged, bold: smoothed)")
    axes.set_ylabel("loss")
    _fit(axes, runs, lambda run: {"loss": run.train.get("loss", [])})


def _fit(
    axes: Axes, runs: Sequence[RunLog], choose: Callable[[RunLog], Series]
) -> None:
    """Leaves a few very large values, as at the start, outside."""
    values = [v for run in runs for pts in choose(run).values() for _, v in pts]
    values = [value for value in values if np.isfinite(value)]
    if values:
        top = min(max(values), 1.5 * float(np.quantile(values, 0.98)))
        axes.set_ylim(min(0, *values), (top or 1) * 1.05)


def _losses(run: RunLog) -> Series:
    """The parts of the loss, the largest first."""
    parts = {k: v for k, v in run.train.items() if "loss_" in k and v}
    sums = {key: sum(value for _, value in points) for key, points in parts.items()}
    return {key: parts[key] for key in sorted(parts, key=lambda k: -sums[k])}


def _plot_parts(axes: Axes, runs: Sequence[RunLog]) -> None:
    (run,) = runs
    parts = _losses(run)
    shown = dict(list(parts.items())[:PARTS])
    for (key, points), color in zip(shown.items(), _colors(len(shown))):
        _plot_smoothed(axes, points, key, color)
    more = f" (the largest {len(shown)} of {len(parts)})" * (len(parts) > len(shown))
    axes.set_title("parts of the loss" + more)
    axes.set_ylabel("loss")
    _fit(axes, runs, lambda _: shown)


def _plot_metrics(axes: Axes, runs: Sequence[RunLog]) -> None:
    several = len(runs) > 1
    for run, color in zip(runs, _colors(len(runs))):
        names = [name for name, points in run.metrics.items() if points]
        known = [n for end in METRICS for n in names if n.split("/")[-1] == end]
        chosen = (known or names)[: 2 if several else 4]
        for i, name in enumerate(chosen):
            steps, values = np.array(run.metrics[name]).T
            short = name.split("/")[-1]
            axes.plot(
                steps,
                # COCO's are from 0 to 1
                values * 100 if "AP" in short and values.max() <= 1 else values,
                "--" if several and i else "-",
                marker="osD^"[i],
                markersize=4,
                color=color if several else COLORS[i],
                label=f"{run.name}: {short}" if several else short,
            )
    axes.set_title("metrics")
    axes.set_ylabel("%")
    axes.set_ylim(bottom=0)


def _plot_steps(
    axes: Axes, runs: Sequence[RunLog], *, key: str, title: str, unit: str
) -> None:
    for run, color in zip(runs, _colors(len(runs))):
        if points := run.train.get(key):
            steps, values = np.array(points).T
            style = "default" if key == "lr" else "steps-post"
            axes.plot(steps, values, drawstyle=style, color=color, label=run.name)
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
