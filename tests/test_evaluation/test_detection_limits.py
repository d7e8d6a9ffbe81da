"""Limits of a detector on the objects of a picture."""

import pytest
from mmengine.config import Config
from tiny import DET

from mmswinv2.apis import find_config
from mmswinv2.evaluation.detection_limits import find_limits

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
