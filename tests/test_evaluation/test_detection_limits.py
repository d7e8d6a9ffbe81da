"""Limits of a detector that are below the objects of a picture."""

import pytest
from mmengine.config import Config
from tiny import DET

from mmswinv2.apis import find_config
from mmswinv2.evaluation.detection_limits import (
    describe_cuts,
    describe_evaluators,
    find_limits,
)

RCNN, RPN = "model.test_cfg.rcnn.max_per_img", "model.test_cfg.rpn.max_per_img"
TTA = "tta_model.tta_cfg.max_per_img"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (DET, {RCNN: 100, RPN: 128, TTA: 100}),
        (
            "mask2former_swinv2-t-p4-w16_8xb2-lsj-50e_coco",
            {"model.panoptic_head.num_queries": 100},
        ),
        (
            "dino-4scale_swinv2-t-p4-w16_8xb2-12e_coco",
            {"model.num_queries": 900, "model.test_cfg.max_per_img": 300},
        ),
    ],
)
def test_limits_are_found_in_every_kind_of_model(config: str, expected: dict) -> None:
    """In test_cfg, in the number of queries and in TTA; not in train_cfg."""
    cfg = Config.fromfile(find_config(config))
    cfg.tta_model.tta_cfg.max_per_img = 100
    limits = find_limits(cfg, tta=True)
    assert expected.items() <= limits.items()
    assert not any("train_cfg" in key for key in limits)


def test_cuts_come_with_counts_and_the_line_to_change() -> None:
    """One sentence for each limit that is too low."""
    limits = {RCNN: 100, RPN: 1000}
    (cut,) = describe_cuts(limits, [5, 100, 101, 375])
    assert cut.startswith(f"{RCNN}=100: 2 of 4 pictures have more objects, up to 375")
    assert cut.endswith(f"set {RCNN}=400")
    assert describe_cuts(limits, [5, 100]) == describe_cuts(limits, []) == []


def test_the_hosts_metric_is_named_where_its_map_is_cut() -> None:
    """Ours is not, nor the host's where it fits."""
    host, ours = dict(type="CocoMetric"), dict(type="mmswinv2.CocoMetric")
    (cut,) = describe_evaluators([host, ours], [3, 101], "val_evaluator")
    assert "1 of 2 pictures" in cut
    assert cut.endswith("set val_evaluator.type='mmswinv2.CocoMetric'")
    assert not describe_evaluators([host], [100], "val_evaluator")
