"""mIoU and box AP of a model on drawn scenes."""

import contextlib
import io

import numpy as np
import torch
from network import Net, detections
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scenes import CLASSES, DIRECTIONS, LANDMARK, Scenes, draw
from torch import Tensor

NUM_RELATIONS = LANDMARK - 1


def evaluate(net: Net, scenes: Scenes, size: int, batch: int) -> dict[str, float]:
    """Test a model on pictures of one size.

    Returns:
        dict[str, float]: In percent: 'mIoU' over all classes, 'AP' of boxes as COCO
        defines it; and over the px of ellipses that were taken for ellipses: how many
        have the right 'direction', and the right 'distance'.
    """
    confusion = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.long)
    found: list[Tensor] = []
    device = next(net.parameters()).device
    noise = torch.Generator(device).manual_seed(0)
    net.eval()
    with torch.no_grad():
        for start in range(0, len(scenes), batch):
            part = scenes[start : start + batch].to(device)
            image, labels = draw(part, size, noise)
            segment, logits, boxes = net(image)
            pairs = (labels * len(CLASSES) + segment.argmax(1)).flatten()
            counts = pairs.bincount(minlength=confusion.numel())
            confusion += counts.cpu().view_as(confusion)
            found += [rows.cpu() for rows in detections(logits, boxes)]
    return {
        "mIoU": 100 * mean_iou(confusion),
        "AP": 100 * box_ap(scenes, found, size),
        **{name: 100 * value for name, value in relations(confusion).items()},
    }


def mean_iou(confusion: Tensor) -> float:
    """Mean over classes of intersection over union, from counts (truth, guess)."""
    hit = confusion.diag()
    union = confusion.sum(0) + confusion.sum(1) - hit
    return (hit[union > 0] / union[union > 0]).mean().item()


def relations(confusion: Tensor) -> dict[str, float]:
    """How often the direction and the distance of an ellipse is right."""
    counts = confusion[1 : 1 + NUM_RELATIONS, 1 : 1 + NUM_RELATIONS]
    counts = counts.reshape(2, len(DIRECTIONS), 2, len(DIRECTIONS)).double()
    total = counts.sum().clamp(min=1)
    return {
        "direction": (counts.sum((0, 2)).trace() / total).item(),
        "distance": (counts.sum((1, 3)).trace() / total).item(),
    }


def box_ap(scenes: Scenes, found: list[Tensor], size: int) -> float:
    """COCO's box AP (IoU 0.5 to 0.95) of detections, in sides of the picture."""
    truth, guesses = [], []
    for image, (boxes, labels) in enumerate(zip(scenes.boxes, scenes.labels), start=1):
        for (x, y, rx, ry), label in zip(boxes.tolist(), labels.tolist()):
            if label:
                box = np.array([x - rx, y - ry, 2 * rx, 2 * ry]) * size
                truth.append(
                    dict(
                        id=len(truth) + 1,
                        image_id=image,
                        category_id=label,
                        bbox=box.tolist(),
                        area=box[2] * box[3],
                        iscrowd=0,
                    )
                )
        rows = found[image - 1].double().numpy()
        corners = rows[:, :4] * size
        sides = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), 1)
        ids = np.full((len(rows), 1), image)
        guesses.append(np.concatenate((ids, sides, rows[:, 4:]), 1))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools counts aloud
        coco = COCO()
        coco.dataset = dict(
            info={},
            images=[dict(id=i + 1, height=size, width=size) for i in range(len(found))],
            annotations=truth,
            categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES) if i],
        )
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(np.concatenate(guesses)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0])
