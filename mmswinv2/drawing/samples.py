"""Draws what a model finds in a picture, beside the truth."""
# n objects of one picture, H W its size in px

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from mmengine.structures import BaseDataElement
from PIL import Image, ImageDraw

from .class_scores import draw_classes
from .palette import Color, palette_of
from .panels import INK, font, make_panel, side_by_side, text_size

LONG_SIDE = 480  # px; smaller pictures are drawn larger
NAMED = 30  # objects in a picture; of more, none is named beside it
FILL = 0.35  # of the colour of an object or class, over the picture
INSTANCES_PER_CLASS = 1000  # in panoptic maps: class + 1000 * instance


def draw_sample(
    pixels: np.ndarray,
    sample: BaseDataElement,
    meta: Mapping,
    *,
    score_thr: float = 0.3,
    with_truth: bool = True,
) -> np.ndarray:
    """A picture with its prediction, and with the truth to the left where known.

    Args:
        pixels (ndarray): RGB ``(H, W, 3)`` of 8 bits.
        sample (BaseDataElement): ``pred_instances``, ``pred_sem_seg`` or
            ``pred_panoptic_seg``, and the same with ``gt_``; or ``pred_score`` and
            ``gt_label``.
        meta (Mapping): ``classes``, and perhaps ``palette``.
        score_thr (float): Detections below it are left out. Defaults to 0.3.
        with_truth (bool): Whether the truth is drawn too. Defaults to True.

    Returns:
        ndarray: RGB; one layout for all tasks, with titles and legends.
    """
    zoom = math.ceil(LONG_SIDE / max(pixels.shape[:2]))
    if zoom > 1:
        pixels = np.ascontiguousarray(pixels.repeat(zoom, 0).repeat(zoom, 1))
    if "pred_score" in sample:
        return draw_classes(pixels, sample, meta, with_truth=with_truth)
    panels = [
        _draw(pixels, sample, prefix, name, meta, score_thr, zoom)
        for prefix, name in (("gt", "truth"), ("pred", "prediction"))
        if prefix == "pred" or with_truth
    ]
    return side_by_side([panel for panel in panels if panel is not None])


def _draw(
    pixels: np.ndarray,
    sample: BaseDataElement,
    prefix: str,
    name: str,
    meta: Mapping,
    score_thr: float,
    zoom: int,
) -> Image.Image | None:
    size = text_size(pixels.shape)
    for kind in ("sem_seg", "panoptic_seg"):
        if f"{prefix}_{kind}" in sample:
            found = sample.get(f"{prefix}_{kind}")
            labels = _array(found.data if kind == "sem_seg" else found.sem_seg)[0]
            if kind == "panoptic_seg":
                labels = labels % INSTANCES_PER_CLASS
            drawn, legend = _draw_labels(pixels, labels, meta, zoom)
            return make_panel(drawn, name, legend, size)
    objects = sample.get(f"{prefix}_instances")
    if objects is None or "labels" not in objects:  # pictures without labels
        return None
    if "scores" in objects:
        objects = objects[objects.scores > score_thr]
        objects = objects[objects.scores.argsort(descending=True)]
    drawn, legend = _draw_objects(pixels, objects, meta, zoom)
    count = len(objects.labels)
    title = f"{name}: {count} object" + "s" * (count != 1)
    if "scores" in objects:
        title += f", score > {score_thr:g}"
    return make_panel(drawn, title, legend, size)


def _array(values: object) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def _draw_labels(
    pixels: np.ndarray, labels: np.ndarray, meta: Mapping, zoom: int
) -> tuple[np.ndarray, list[tuple[str, Color]]]:
    """Classes over a picture, and those present, the largest first."""
    classes, palette = meta["classes"], palette_of(meta)
    labels = labels.repeat(zoom, 0).repeat(zoom, 1).astype(np.int64)
    known = labels < len(classes)  # what is ignored stays as it is
    colors = np.array(palette, np.float32)[np.where(known, labels, 0)]
    mixed = pixels * 0.45 + colors * 0.55
    drawn = np.where(known[..., None], mixed, pixels).astype(np.uint8)
    counts = np.bincount(labels[known], minlength=len(classes))
    present = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
    shares = [
        f"{share:.0%}" if share >= 0.01 else "< 1%" for share in counts / labels.size
    ]
    return drawn, [(f"{classes[i]} {shares[i]}", palette[i]) for i in present]


def _draw_objects(
    pixels: np.ndarray, objects: BaseDataElement, meta: Mapping, zoom: int
) -> tuple[np.ndarray, list[tuple[str, Color]]]:
    """Objects over a picture, and their classes, the most frequent first."""
    classes, palette = meta["classes"], palette_of(meta)
    labels = _array(objects.labels)
    masks = _masks(objects)
    boxes = getattr(objects.get("bboxes"), "tensor", objects.get("bboxes"))
    boxes = _array(boxes) * zoom
    width = max(1, min(pixels.shape[:2]) // 400)
    if len(labels) > NAMED:
        width = max(1, width // 2)
    drawn = pixels.copy()
    outlines = []
    for index, mask in enumerate(masks):
        x, y, w, h = cv2.boundingRect(mask)
        mask = mask[y : y + h, x : x + w].repeat(zoom, 0).repeat(zoom, 1)
        area = drawn[y * zoom : (y + h) * zoom, x * zoom : (x + w) * zoom]
        color = np.array(palette[labels[index]])
        inside = mask > 0
        area[inside] = area[inside] * (1 - FILL) + color * FILL
        outlines.append((area, inside & ~_inner(inside, width)))
    for index in reversed(range(len(labels))):  # the surest on top
        color = palette[labels[index]]
        if outlines:
            area, line = outlines[index]
            area[line] = color
        if not outlines or len(labels) <= NAMED:
            _frame(drawn, boxes[index], width, color)
    if len(labels) <= NAMED:
        drawn = _name(drawn, objects, boxes, labels, classes, palette)
    counts = Counter(labels.tolist()).most_common()
    return drawn, [(f"{n} {classes[i]}", palette[i]) for i, n in counts]


# Lines lie within what they surround: demo/onnx_demo.py draws the same without OpenCV.


def _inner(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a mask with so many more in each of four directions."""
    for _ in range(width):
        wide = np.pad(mask, 1)
        rows, columns = wide[:, 1:-1], wide[1:-1]
        mask = mask & rows[:-2] & rows[2:] & columns[:, :-2] & columns[:, 2:]
    return mask


def _frame(drawn: np.ndarray, box: np.ndarray, width: int, color: Color) -> None:
    left, top, right, bottom = box.round().astype(int).clip(min=0).tolist()
    area = drawn[top : bottom + 1, left : right + 1]
    for side in (np.s_[:width], np.s_[-width:]):
        area[side] = area[:, side] = color


def _masks(objects: BaseDataElement) -> Sequence[np.ndarray]:
    """The masks of n objects, each ``(H, W)`` of 8 bits, or none."""
    masks = objects.get("masks")
    if masks is None:
        return []
    if hasattr(masks, "to_ndarray"):  # mmdet's structures
        masks = masks.to_ndarray()
    return _array(masks).astype(np.uint8)


def _name(
    pixels: np.ndarray,
    objects: BaseDataElement,
    boxes: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Color],
) -> np.ndarray:
    """Names and scores at the objects that are as large as the letters or more."""
    size = text_size(pixels.shape)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for index, (box, label) in enumerate(zip(boxes.tolist(), labels)):
        text = classes[label]
        if "scores" in objects:
            text += f" {float(objects.scores[index]):.2f}"
        if min(box[2] - box[0], box[3] - box[1]) < 2 * size:
            continue
        place = draw.textbbox((box[0] + 2, box[1] + 1), text, font(size))
        light = np.dot(palette[label], (0.299, 0.587, 0.114)) > 140
        draw.rectangle(
            (place[0] - 2, place[1] - 1, place[2] + 2, place[3] + 1),
            fill=palette[label],
        )
        ink = INK if light else (255, 255, 255)
        draw.text((box[0] + 2, box[1] + 1), text, ink, font(size))
    return np.array(image)
