"""What was found, in one line."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmswinv2.drawing import describe


def test_describe_detections() -> None:
    """The most frequent classes above the score, and how many others."""
    found = InstanceData(
        labels=torch.tensor([0] * 3 + [1] * 2 + [2, 3, 4, 5, 6]),
        scores=torch.tensor([0.9] * 9 + [0.1]),
    )
    sample = DetDataSample(pred_instances=found)
    names = ["person", "dog", "cat", "car", "bus", "cup", "kite"]
    found = describe(sample, names, 0.3)
    assert found == "3 person, 2 dog, 1 cat, 1 car, 2 other"
    assert describe(sample, names, 0.95) == "nothing"
