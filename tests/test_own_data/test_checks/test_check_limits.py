"""Pictures with more objects than can be found are counted, with the cure."""

from __future__ import annotations

from mmengine.config import Config
from tiny import DET

from mmswinv2.apis import find_config
from mmswinv2.own_data.checks.limits import check_limits

RCNN, RPN = "model.test_cfg.rcnn.max_per_img", "model.test_cfg.rpn.max_per_img"
TTA = "tta_model.tta_cfg.max_per_img"
HOST = [dict(type="CocoMetric")]


def content(*counts: dict[int, int]) -> dict:
    """Annotations of pictures with so many objects by category; 3 is unknown."""
    labels = [
        dict(image_id=image, category_id=category)
        for image, count in enumerate(counts)
        for category, number in count.items()
        for _ in range(number)
    ]
    names = [dict(id=1, name="cell"), dict(id=2, name="dust"), dict(id=3, name="rest")]
    return dict(images=[{}] * len(counts), categories=names, annotations=labels)


def found(split: str, *counts: dict[int, int], metrics: list = HOST) -> list[str]:
    """What is found, with limits of 100, 128 proposals, and 50 in TTA."""
    cfg = Config.fromfile(find_config(DET))
    cfg.tta_model.tta_cfg.max_per_img = 50
    classes = ("cell", "dust")
    return [*map(str, check_limits(content(*counts), classes, cfg, split, metrics))]


def test_each_limit_comes_with_counts_and_the_line_to_change() -> None:
    """Of the model, of the proposals, and of the host's metric, by class."""
    dense, mixed = {1: 230}, {1: 70, 2: 40}
    proposals, kept, metric = found("val", dense, mixed, {1: 3})
    rest = "pictures have more objects, up to 230, of which"
    assert proposals == f"{RPN}=128: 1 of 3 {rest} 128 can be found; set {RPN}=300"
    assert kept == f"{RCNN}=100: 2 of 3 {rest} 100 can be found; set {RCNN}=300"
    assert metric.startswith(
        "val_evaluator.type='CocoMetric', whose mAP reads 100 of a"
    )
    assert f": 1 of 3 {rest} 100" in metric
    assert metric.endswith("set val_evaluator.type='mmswinv2.CocoMetric'")
    (line,) = found("test", {1: 60})
    assert line.startswith(f"{TTA}=50: 1 of 1 pictures")


def test_nothing_is_found_where_all_fits() -> None:
    """Nor of classes that are not learned, crowds, training, or our metric."""
    assert not found("val", {1: 100, 3: 500})
    assert not found("train", {1: 500}, metrics=[])
    ours = [dict(type="mmswinv2.CocoMetric")]
    assert not any("evaluator" in f for f in found("val", {1: 500}, metrics=ours))
