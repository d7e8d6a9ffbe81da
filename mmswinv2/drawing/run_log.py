"""The numbers that a training run left in its work dir."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

PLACES = ("*/vis_data/scalars.json", "vis_data/scalars.json", "scalars.json")
NO_METRICS = {"step", "iter", "epoch", "time", "data_time", "memory"}
Series = dict[str, list[tuple[int, float]]]  # of (iteration, value) by name


@dataclass
class RunLog:
    """What a run has logged.

    Attributes:
        name (str): For a legend.
        train (Series): Losses, learning rate, window, ... by iteration.
        metrics (Series): What evaluations gave.
    """

    name: str
    train: Series = field(default_factory=lambda: defaultdict(list))
    metrics: Series = field(default_factory=lambda: defaultdict(list))


def read_run(work_dir: str | Path, name: str | None = None) -> RunLog:
    """Reads the logs of a run, of all its starts.

    Where a start goes on from a checkpoint, what an earlier one had logged of the same
    iterations is left out; where it begins anew, all of the earlier one.

    Args:
        work_dir (str | Path): A work dir, or the folder of one start in it.
        name (str, optional): Defaults to the folder's name.

    Raises:
        FileNotFoundError: There is no such folder, or no log in it.
        ValueError: No number was logged yet.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"{work_dir} is no folder; give the work dir of a run")
    files = [file for place in PLACES for file in sorted(folder.glob(place))]
    if not files:
        raise FileNotFoundError(
            f"{work_dir} has no <time>/vis_data/scalars.json: it is no work dir of a "
            "training run, or its visualizer has no LocalVisBackend"
        )
    run = RunLog(name or folder.resolve().name)
    for file in files:
        _add(run, file)
    if not any(run.train.values()) and not any(run.metrics.values()):
        raise ValueError(
            f"{files[-1]} has no numbers yet; a run writes them every "
            "default_hooks.logger.interval iterations"
        )
    return run


def _add(run: RunLog, file: Path) -> None:
    now = None
    for line in file.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the last one of a run that was killed
            continue
        trained = "lr" in row
        if now is None:
            now = row["step"] - trained
            for series in (run.train, run.metrics):
                for key, points in series.items():
                    series[key] = [point for point in points if point[0] <= now]
        # Evaluations count epochs where the schedule does
        now = row["step"] if trained else max(now, row["step"])
        series = run.train if trained else run.metrics
        for key, value in row.items():
            known = key not in NO_METRICS and isinstance(value, (int, float))
            # -1: COCO's AP of sizes that no object has
            if known and (trained or value >= 0):
                series[key].append((now, value))
