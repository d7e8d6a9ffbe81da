"""AP with as many detections as a picture has objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import CocoMetric as HostMetric
from mmdet.evaluation.metrics import coco_metric as host
from mmengine.registry import METRICS

from mmswinv2.evaluation import coco_metric
from mmswinv2.evaluation.coco_metric import CocoMetric

CLASSES = ["cell", "dust"]


def square(index: int, size: int = 8) -> list[float]:
    """x, y, width and height of the index-th of many squares beside each other."""
    return [10.0 * (index % 40), 10.0 * (index // 40), size, size]


@pytest.fixture
def write(tmp_path: Path):
    """Writes COCO annotations of pictures with so many cells, and one dust each."""

    def write(*cells: int) -> str:
        annotations = [
            dict(image_id=image, category_id=1 + (index == count), bbox=square(index))
            for image, count in enumerate(cells)
            for index in range(count + 1)
        ]
        for number, label in enumerate(annotations, 1):
            x, y, w, h = label["bbox"]
            corners = [x, y, x + w, y, x + w, y + h, x, y + h]
            label |= dict(id=number, iscrowd=0, area=w * h, segmentation=[corners])
        content = dict(
            images=[
                dict(id=i, width=400, height=400, file_name=f"{i}.png")
                for i in range(len(cells))
            ],
            categories=[dict(id=i, name=n) for i, n in enumerate(CLASSES, 1)],
            annotations=annotations,
        )
        file = tmp_path / "truth.json"
        file.write_text(json.dumps(content))
        return str(file)

    return write


def evaluate(
    metric: HostMetric, file: str, noise: float = 0.0, own: bool = False
) -> dict[str, float]:
    """The scores of the truth, with corners moved by some noise, in px."""
    content = json.loads(Path(file).read_text())
    metric.dataset_meta = dict(classes=CLASSES)
    rng = np.random.default_rng(0)
    for image in content["images"]:
        labels = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        boxes = torch.tensor([a["bbox"] for a in labels])
        boxes[:, 2:] += boxes[:, :2]
        exact = boxes.tolist()
        boxes += torch.from_numpy(rng.normal(scale=noise, size=boxes.shape))
        kinds = torch.tensor([a["category_id"] - 1 for a in labels])
        found = dict(
            bboxes=boxes, labels=kinds, scores=torch.from_numpy(rng.random(len(boxes)))
        )
        sample = dict(img_id=image["id"], ori_shape=(400, 400), pred_instances=found)
        sample["instances"] = [
            dict(bbox=box, bbox_label=int(kind)) for box, kind in zip(exact, kinds)
        ]
        metric.process({}, [sample])
    return metric.evaluate(len(content["images"]))


@pytest.mark.parametrize("from_file", [True, False])
def test_a_perfect_prediction_scores_one(write, from_file: bool) -> None:
    """With 230 objects in a picture, where the host's mAP is cut at 100."""
    file = write(230, 3)
    metric = METRICS.build(
        dict(
            type="mmswinv2.CocoMetric",
            ann_file=file if from_file else None,
            classwise=True,
            metric_items=["mAP", "mAP_50", "mAP_s", "AR@100", "AR@300", "AR_s@1000"],
        )
    )
    scores = evaluate(metric, file)
    recall = scores.pop("coco/bbox_AR@100")  # of a class each: 103 of 233 and all
    assert recall == pytest.approx((103 / 233 + 1) / 2, abs=1e-3)
    assert set(scores.values()) == {1.0}
    assert {"coco/bbox_mAP", "coco/bbox_AR@300", "coco/bbox_AR_s@300"} <= scores.keys()
    assert evaluate(HostMetric(file), file)["coco/bbox_mAP"] < 0.75


@pytest.mark.parametrize("options", [{}, {"proposal_nums": (1, 10, 100)}])
def test_the_numbers_are_the_hosts_up_to_100_objects(write, options: dict) -> None:
    """All of them, also by class and as recall of proposals."""
    file = write(99, 7, 0)
    options |= dict(metric=["bbox", "proposal"], classwise=True)
    expected = evaluate(HostMetric(file, **options), file, noise=1)
    scores = evaluate(CocoMetric(file, **options), file, noise=1)
    assert 0.1 < expected["coco/bbox_mAP"] < 0.9
    assert list(scores.values()) == list(expected.values())
    assert scores.keys() == expected.keys() or "proposal_nums" in options


def test_a_limit_below_the_objects_is_said(write, logs: list[str]) -> None:
    """With counts and the line to change; AP, AR and their names are of the limit."""
    file = write(130, 3, 60)
    metric = CocoMetric(file, max_dets=50, metric_items=["mAP", "mAP_50", "AR@1000"])
    scores = evaluate(metric, file)
    warning = next(line for line in logs if "max_dets" in line)
    assert warning.startswith("2 of 3 pictures have more than max_dets=50 objects")
    assert "up to 130" in warning and "max_dets='auto'" in warning
    assert scores["coco/bbox_mAP"] == scores["coco/bbox_mAP_50"]
    assert scores["coco/bbox_AR@50"] == pytest.approx((103 / 193 + 1) / 2, abs=1e-3)


def test_three_limits_are_those_of_recall(write) -> None:
    """The largest is that of AP."""
    file = write(130)
    items = ["mAP", "AR@100", "AR@300", "AR@1000"]
    scores = evaluate(CocoMetric(file, max_dets=[200, 1, 13], metric_items=items), file)
    assert scores["coco/bbox_mAP"] == scores["coco/bbox_AR@200"] == 1
    assert scores["coco/bbox_AR@13"] == pytest.approx((0.1 + 1) / 2)


@pytest.mark.parametrize("max_dets", ["all", 0, [1, 10], "1"])
def test_other_limits_are_refused(max_dets: object) -> None:
    """They would fail after the first epoch."""
    with pytest.raises(ValueError, match="expected 'auto', a number of detections"):
        CocoMetric(max_dets=max_dets)


def test_proposal_numbers_that_cannot_be_summarised_are_refused() -> None:
    """The host takes them, and fails after the first epoch."""
    with pytest.raises(ValueError, match="max_dets says how many"):
        CocoMetric(proposal_nums=(300,))
    assert CocoMetric(proposal_nums=(300,), metric="proposal_fast")


@pytest.mark.parametrize("fast", ["faster_coco_eval", "mp"])
def test_other_implementations_give_the_same_numbers(
    write, fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of pycocotools, from faster-coco-eval or several processes."""
    file = write(130, 20)
    if fast == "mp":
        quick = evaluate(CocoMetric(file, use_mp_eval=True), file, noise=1)
    else:
        pytest.importorskip(fast)
        quick = evaluate(CocoMetric(file), file, noise=1)
    slow = type("Slow", (coco_metric._FreeLimit, host.COCOeval), {})
    monkeypatch.setattr(coco_metric, "FreeCOCOeval", slow)
    assert quick == evaluate(CocoMetric(file), file, noise=1)
