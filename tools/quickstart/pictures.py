"""The pictures of the quick start: predictions beside the truth, and the bias maps."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from tasks import DETECTION

from mmswinv2.cli.transfer_plan import Plan, Row
from mmswinv2.datasets.mini_scenes import STUFF, THINGS

ZOOM = 2  # screen px per image px
MIN_SCORE = 0.3  # of the boxes that are drawn; a guess among three classes passes
ROWS = (Row.LOW, Row.AS_IS, Row.HIGH)
# B, G, R. The small classes get the three clearest.
COLOURS = {
    "bus": (0, 140, 255),
    "boat": (255, 200, 0),
    "airplane": (200, 60, 160),
    "sports ball": (40, 40, 230),
    "traffic light": (60, 220, 60),
    "clock": (0, 255, 255),
}
# By ADE20K's label: name, colour.
LEGEND = {0: ("unlabelled", (0, 0, 0))}
LEGEND |= {stuff.ade_label: (stuff.name, stuff.colour) for stuff in STUFF}
LEGEND |= {t.ade_label: (t.coco_name, COLOURS[t.coco_name]) for t in THINGS}


def draw_pictures(plans: Sequence[Plan], folder: Path, count: int = 4) -> Path:
    """Draw the first validation pictures of both tasks and collect the bias maps.

    Args:
        plans (Sequence[Plan]): Detection and segmentation, all tests finished.
        folder (Path): Where to write.
        count (int): Pictures per task. Defaults to 4.

    Returns:
        Path: The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for plan in plans:
        name = plan.task.name
        draw = draw_detections if plan.task is DETECTION else draw_segmentations
        for stem, panels in draw(plan, count):
            titles = ("truth", *(row.value for row in ROWS))
            sheet = beside(titles, panels)
            if plan.task is not DETECTION:
                sheet = np.vstack([sheet, draw_legend(sheet.shape[1])])
            cv2.imwrite(str(folder / f"{name}_{stem}.png"), sheet)
        (maps,) = sorted(plan.train_high().folder.glob("*/vis_data/vis_image/*_0.png"))[
            :1
        ]
        shutil.copyfile(maps, folder / f"{name}_bias_maps.png")
    return folder


def draw_detections(plan: Plan, count: int) -> Iterable[tuple[str, list[np.ndarray]]]:
    """Draw true objects, then those found by each row."""
    root = plan.data / "coco"
    truth = COCO(str(root / "annotations" / "instances_val2017.json"))
    found = []
    for row in ROWS:
        path = plan.test(row).folder / "predictions.segm.json"
        found.append(truth.loadRes(str(path)))
    for image in truth.loadImgs(sorted(truth.imgs)[:count]):
        picture = enlarge(cv2.imread(str(root / "val2017" / image["file_name"])))
        panels = [
            draw_objects(picture, source, source.imgToAnns[image["id"]])
            for source in (truth, *found)
        ]
        yield Path(image["file_name"]).stem, panels


def draw_objects(
    picture: np.ndarray, source: COCO, annotations: Sequence[dict]
) -> np.ndarray:
    """Draw objects with their outlines, boxes, names and scores."""
    canvas = picture.copy()
    for annotation in sorted(best_guesses(annotations), key=lambda a: -a["area"]):
        name = source.cats[annotation["category_id"]]["name"]
        colour = COLOURS.get(name, (255, 255, 255))
        mask = enlarge(source.annToMask(annotation))
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, 2)
        x, y, width, height = (round(ZOOM * v) for v in annotation["bbox"])
        cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, 1)
        score = f" {annotation['score']:.2f}" if "score" in annotation else ""
        write(canvas, name + score, (x, max(y - 3, 10)), colour, 0.38)
    return canvas


def best_guesses(annotations: Sequence[dict]) -> list[dict]:
    """Keep the objects to draw: of several guesses at one place, the surest."""
    kept: list[dict] = []
    for annotation in sorted(annotations, key=lambda a: -a.get("score", 1.0)):
        others = np.array([a["bbox"] for a in kept]).reshape(-1, 4)
        box = np.array([annotation["bbox"]])
        is_sure = annotation.get("score", 1.0) >= MIN_SCORE
        overlaps = np.asarray(coco_mask.iou(box, others, [0] * len(kept)))
        if is_sure and (overlaps < 0.6).all():
            kept.append(annotation)
    return kept


def draw_segmentations(
    plan: Plan, count: int
) -> Iterable[tuple[str, list[np.ndarray]]]:
    """Paint the true labels, then those of each row."""
    root = plan.data / plan.task.data_root
    for path in sorted((root / "images" / "validation").glob("*.jpg"))[:count]:
        folders = [root / "annotations" / "validation"]
        folders += [plan.test(row).folder / "predictions" for row in ROWS]
        maps = [cv2.imread(str(f / f"{path.stem}.png"), 0) for f in folders]
        picture = enlarge(cv2.imread(str(path)))
        yield path.stem, [paint_labels(picture, labels) for labels in maps]


def paint_labels(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tint a picture by label; unlabelled parts turn black, unknown labels white."""
    tint = np.full((*labels.shape, 3), 255, np.uint8)
    for label, (_, colour) in LEGEND.items():
        tint[labels == label] = colour
    return cv2.addWeighted(enlarge(tint), 0.75, picture, 0.25, 0)


def beside(titles: Iterable[str], panels: Iterable[np.ndarray]) -> np.ndarray:
    """Set panels side by side under their titles."""
    columns = []
    for title, panel in zip(titles, panels):
        header = np.full((26, panel.shape[1], 3), 255, np.uint8)
        write(header, title, (6, 18), (0, 0, 0), 0.5)
        columns.append(np.pad(np.vstack([header, panel]), ((0, 0), (0, 4), (0, 0))))
    return np.hstack(columns)


def draw_legend(width: int) -> np.ndarray:
    """Draw a strip with the colour and name of every label."""
    strip = np.full((30, width, 3), 255, np.uint8)
    step = width // len(LEGEND)
    for i, (name, colour) in enumerate(LEGEND.values()):
        cv2.rectangle(strip, (i * step + 4, 8), (i * step + 18, 22), colour, -1)
        write(strip, name, (i * step + 24, 20), (0, 0, 0), 0.45)
    return strip


def enlarge(image: np.ndarray) -> np.ndarray:
    """Enlarge for the screen, keeping the pixels."""
    return cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)


def write(
    canvas: np.ndarray,
    text: str,
    place: tuple[int, int],
    colour: tuple[int, int, int],
    scale: float,
) -> None:
    """Write text with a dark rim, readable on any ground and inside the picture."""
    font, smooth = cv2.FONT_HERSHEY_SIMPLEX, cv2.LINE_AA
    (width, _), _ = cv2.getTextSize(text, font, scale, 1)
    place = (max(min(place[0], canvas.shape[1] - width - 2), 0), place[1])
    if sum(colour) > 200:
        cv2.putText(canvas, text, place, font, scale, (0, 0, 0), 3, smooth)
    cv2.putText(canvas, text, place, font, scale, colour, 1, smooth)
