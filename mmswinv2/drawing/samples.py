"""Draws what a model finds in a picture, beside the truth."""
# n objects of one picture, H W its size in px

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.structures import BaseDataElement
from PIL import Image, ImageDraw

from .bands import bands, count_labels
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
    pixels, zoom = enlarge(pixels)
    if "pred_score" in sample:
        return draw_classes(pixels, sample, meta, with_truth=with_truth)
    panels = [
        _draw(pixels, sample, prefix, name, meta, score_thr, zoom)
        for prefix, name in (("gt", "truth"), ("pred", "prediction"))
        if prefix == "pred" or with_truth
    ]
    return side_by_side([panel for panel in panels if panel is not None])


def enlarge(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """A picture that is large enough to draw on, and by what it was enlarged."""
    zoom = math.ceil(LONG_SIDE / max(pixels.shape[:2]))
    if zoom > 1:
        pixels = np.ascontiguousarray(pixels.repeat(zoom, 0).repeat(zoom, 1))
    return pixels, zoom


def draw_on(
    pixels: np.ndarray,
    sample: BaseDataElement,
    meta: Mapping,
    *,
    score_thr: float,
    zoom: int,
) -> np.ndarray:
    """As :func:`draw_sample`, the picture alone, after :func:`enlarge`."""
    found = _draw_found(pixels, sample, "pred", meta, score_thr, zoom)
    return pixels if found is None else found[0]


def _draw(
    pixels: np.ndarray,
    sample: BaseDataElement,
    prefix: str,
    name: str,
    meta: Mapping,
    score_thr: float,
    zoom: int,
) -> Image.Image | None:
    found = _draw_found(pixels, sample, prefix, meta, score_thr, zoom)
    if found is None:
        return None
    drawn, legend, more = found
    return make_panel(drawn, name + more, legend, text_size(pixels.shape))


def _draw_found(
    pixels: np.ndarray,
    sample: BaseDataElement,
    prefix: str,
    meta: Mapping,
    score_thr: float,
    zoom: int,
) -> tuple[np.ndarray, list[tuple[str, Color]], str] | None:
    """A picture, its legend, and what a title says besides."""
    for kind in ("sem_seg", "panoptic_seg"):
        if f"{prefix}_{kind}" in sample:
            found = sample.get(f"{prefix}_{kind}")
            labels = _array(found.data if kind == "sem_seg" else found.sem_seg)[0]
            if kind == "panoptic_seg":
                labels = labels % INSTANCES_PER_CLASS
            return *_draw_labels(pixels, labels, meta, zoom), ""
    objects = sample.get(f"{prefix}_instances")
    if objects is None or "labels" not in objects:  # pictures without labels
        return None
    if "scores" in objects:
        objects = objects[objects.scores > score_thr]
        objects = objects[objects.scores.argsort(descending=True)]
    drawn, legend = _draw_objects(pixels, objects, meta, zoom)
    count = len(objects.labels)
    title = f": {count} object" + "s" * (count != 1)
    if "scores" in objects:
        title += f", score > {score_thr:g}"
    return drawn, legend, title


def _array(values: Any) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def _draw_labels(
    pixels: np.ndarray, labels: np.ndarray, meta: Mapping, zoom: int
) -> tuple[np.ndarray, list[tuple[str, Color]]]:
    """Classes over a picture, and those present, the largest first."""
    classes, palette = meta["classes"], palette_of(meta)
    if zoom > 1:
        labels = labels.repeat(zoom, 0).repeat(zoom, 1)
    colors = np.array(palette, np.float32)
    drawn = np.empty_like(pixels)
    for band in bands(labels.shape):
        numbers, part = labels[band].astype(np.int64), pixels[band]
        known = numbers < len(classes)  # what is ignored stays as it is
        mixed = part * 0.45 + colors[np.where(known, numbers, 0)] * 0.55
        drawn[band] = np.where(known[..., None], mixed, part).astype(np.uint8)
    counts = count_labels(labels, len(classes))
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
    for index, (x, y, mask) in enumerate(masks):
        mask = np.ascontiguousarray(mask.repeat(zoom, 0).repeat(zoom, 1))
        h, w = mask.shape
        area = drawn[y * zoom : y * zoom + h, x * zoom : x * zoom + w]
        color = np.array(palette[labels[index]])
        for band in bands(mask.shape):
            part, inside = area[band], mask[band] > 0
            part[inside] = part[inside] * (1 - FILL) + color * FILL
        outlines.append((area, _outline(mask, width)))
    for index in reversed(range(len(labels))):  # the surest on top
        color = palette[labels[index]]
        if outlines:
            area, line = outlines[index]
            area[line] = color
        if not outlines or len(labels) <= NAMED:
            _frame(drawn, boxes[index], width, color)
    if len(labels) <= NAMED:
        _name(drawn, objects, boxes, labels, classes, palette)
    counts = Counter(labels.tolist()).most_common()
    return drawn, [(f"{n} {classes[i]}", palette[i]) for i, n in counts]


# Lines lie within what they surround: demo/onnx_demo.py draws the same without OpenCV.


def _outline(mask: np.ndarray, width: int) -> tuple[np.ndarray, ...]:
    """Rows and columns of the px of a mask that are so close to its edge."""
    if not mask.size:
        return np.nonzero(mask)
    cross: Any = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    outside: dict[str, Any] = dict(borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.nonzero(mask > cv2.erode(mask, cross, iterations=width, **outside))


def _frame(drawn: np.ndarray, box: np.ndarray, width: int, color: Color) -> None:
    left, top, right, bottom = box.round().astype(int).clip(min=0).tolist()
    area = drawn[top : bottom + 1, left : right + 1]
    for side in (np.s_[:width], np.s_[-width:]):
        area[side] = area[:, side] = color


def _masks(objects: BaseDataElement) -> Iterator[tuple[int, int, np.ndarray]]:
    """The masks of n objects, or none: column and row of its box, and what is in it."""
    masks = objects.get("masks")
    if masks is None:
        return
    if hasattr(masks, "pieces"):  # those of a large picture, which are cut out already
        for piece in masks.pieces:
            yield piece.x, piece.y, piece.bitmap()
        return
    if hasattr(masks, "to_ndarray"):  # mmdet's structures
        masks = masks.to_ndarray()
    for mask in _array(masks):
        mask = mask.astype(np.uint8)
        x, y, w, h = cv2.boundingRect(mask)
        yield x, y, mask[y : y + h, x : x + w]


def _name(
    pixels: np.ndarray,
    objects: BaseDataElement,
    boxes: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Color],
) -> None:
    """Draws names and scores at the objects that are as large as the letters."""
    size = text_size(pixels.shape)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    for index, (box, label) in enumerate(zip(boxes.tolist(), labels)):
        text = classes[label]
        if "scores" in objects:
            text += f" {float(objects.scores[index]):.2f}"
        if min(box[2] - box[0], box[3] - box[1]) < 2 * size:
            continue
        corner = box[0] + 2, box[1] + 1
        x1, y1, x2, y2 = measure.textbbox(corner, text, font(size))
        left, top = max(int(x1) - size, 0), max(int(y1) - size, 0)
        region = pixels[top : int(y2) + size, left : int(x2) + size]
        image = Image.fromarray(region)
        draw = ImageDraw.Draw(image)
        place = (x1 - 2 - left, y1 - 1 - top, x2 + 2 - left, y2 + 1 - top)
        light = np.dot(palette[label], (0.299, 0.587, 0.114)) > 140
        draw.rectangle(place, fill=palette[label])
        ink = INK if light else (255, 255, 255)
        draw.text((corner[0] - left, corner[1] - top), text, ink, font(size))
        region[:] = image
