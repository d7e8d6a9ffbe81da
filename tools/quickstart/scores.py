"""The table of the quick start: what the stages measured, by row."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from tasks import DETECTION

from mmswinv2.cli.transfer_plan import Plan, Row, format_cell
from mmswinv2.datasets.mini_scenes import SMALL_THINGS

# Heading and key of a column. Small is an area under 32 * 32 px for COCO, and the
# classes of small objects for the IoU.
COLUMNS = {
    "mAP": "coco/bbox_mAP",
    "mAP small": "coco/bbox_mAP_s",
    "mIoU": "mIoU",
    "IoU small": "small_IoU",
}
SCORES = ("coco/", "mIoU", "mAcc", "aAcc")


def read_scores(plan: Plan, row: Row) -> dict[str, float]:
    """Read what a test measured, and the seconds of the training before it.

    Args:
        plan (Plan): Task and seed.
        row (Row): The row whose test has finished.

    Returns:
        dict[str, float]: Scores in percent, and the seconds as '<task> seconds'.
    """
    stage, scores = plan.test(row), plan.scores(row)
    scale = 100 if plan.task is DETECTION else 1
    scores = {key: scale * scores[key] for key in scores if key.startswith(SCORES)}
    if plan.task is not DETECTION:
        truth = plan.data / plan.task.data_root / "annotations" / "validation"
        scores["small_IoU"] = small_iou(stage.folder / "predictions", truth)
    scores[f"{plan.task.name} seconds"] = stage.after.record()["seconds"]
    return scores


def small_iou(predictions: Path, truth: Path) -> float:
    """Mean IoU in percent of the classes of small objects.

    Args:
        predictions (Path): Folder of label maps, 1 to 150.
        truth (Path): Folder of label maps of the same names, 0 to 150, 0 = ignored.
    """
    overlap, union = np.zeros(len(SMALL_THINGS)), np.zeros(len(SMALL_THINGS))
    for path in sorted(truth.glob("*.png")):
        true = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        found = cv2.imread(str(predictions / path.name), cv2.IMREAD_GRAYSCALE)
        found[true == 0] = 0
        for i, thing in enumerate(SMALL_THINGS):
            a, b = true == thing.ade_label, found == thing.ade_label
            overlap[i] += (a & b).sum()
            union[i] += (a | b).sum()
    return float(100 * (overlap / union).mean())


def summarise(plans: Sequence[Plan], rows: Sequence[Row]) -> dict[str, dict]:
    """Collect what every row measured, a list with one value per seed each.

    Args:
        plans (Sequence[Plan]): Both tasks of every seed.
        rows (Sequence[Row]): The rows that were measured.

    Returns:
        dict[str, dict]: Lists by row and by score; the seconds of training as
        'detection seconds' and 'segmentation seconds'.
    """
    results: dict[str, dict] = {}
    for row in rows:
        cells = results.setdefault(row.value, {})
        for plan in plans:
            for key, value in read_scores(plan, row).items():
                cells.setdefault(key, []).append(value)
    return results


def print_table(results: dict[str, dict], console: Console) -> None:
    """Print the table; with several seeds, mean and standard deviation.

    Args:
        results (dict[str, dict]): As :func:`summarise` returns it.
        console (Console): Where to print.
    """
    table = Table(box=None, padding=(0, 1, 0, 0))  # fits 80 columns
    table.add_column("percent", no_wrap=True)
    for heading in (*COLUMNS, "training"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, cells in results.items():
        seconds = [statistics.mean(v) for k, v in cells.items() if "seconds" in k]
        training = " / ".join(f"{s // 60:.0f}:{s % 60:02.0f}" for s in seconds)
        scores = [format_cell(cells[key]) for key in COLUMNS.values()]
        table.add_row(row, *scores, "-" if row == Row.AS_IS.value else training)
    console.print(table)
    console.print("mAP of boxes; training in minutes, detection / segmentation")
