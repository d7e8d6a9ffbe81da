"""Merging the detections of scaled and flipped views."""

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

from mmswinv2.models import InstanceTTAModel

HEIGHT, WIDTH = 12, 20


class Detector(nn.Module):
    """Finds what the samples hold, and must not hear of flips."""

    data_preprocessor = None

    def test_step(self, data: dict) -> list[BaseDataElement]:
        assert not any(sample.metainfo["flip"] for sample in data["data_samples"])
        return data["data_samples"]


def sample(*detections: tuple[list[int], float, int], flip: bool = False, **meta: str):
    """What a model finds in a view: boxes in px, scores, labels; masks fill boxes."""
    boxes = torch.tensor([d[0] for d in detections]).float().reshape(-1, 4)
    masks = torch.zeros(len(detections), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
        mask[y1:y2, x1:x2] = True
    found = InstanceData(
        bboxes=boxes,
        scores=torch.tensor([d[1] for d in detections]),
        labels=torch.tensor([d[2] for d in detections], dtype=torch.long),
        masks=masks,
    )
    meta = dict(ori_shape=(HEIGHT, WIDTH), flip=flip, **meta)
    view = BaseDataElement(metainfo=meta)
    view.pred_instances = found
    return view


def merge(*views: BaseDataElement, nms: str = "nms", max_per_img: int = 10):
    tta_cfg = dict(nms=dict(type=nms, iou_threshold=0.5), max_per_img=max_per_img)
    model = InstanceTTAModel(tta_cfg, module=Detector())
    data = dict(
        inputs=[[torch.zeros(3, HEIGHT, WIDTH)] for _ in views],
        data_samples=[[view] for view in views],
    )
    (merged,) = model.test_step(data)
    return merged.pred_instances


def filled(x1: int, y1: int, x2: int, y2: int) -> Tensor:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_flipped_views_are_turned_back() -> None:
    """The same object in both views is one detection, box and mask."""
    plain = sample(([2, 3, 8, 9], 0.9, 1))
    flipped = sample(([12, 3, 18, 9], 0.8, 1), flip=True, flip_direction="horizontal")
    merged = merge(plain, flipped)
    assert merged.bboxes.tolist() == [[2, 3, 8, 9]]
    assert torch.equal(merged.masks[0], filled(2, 3, 8, 9))


def test_masks_vote_by_score() -> None:
    """A pixel belongs to the mask where more than half of the scores say so."""
    views = [
        sample(([0, 0, 10, 10], 0.9, 0)),
        sample(([0, 0, 10, 8], 0.6, 0)),
        sample(([0, 0, 10, 8], 0.5, 0)),
    ]
    merged = merge(*views)
    assert merged.scores.tolist() == pytest.approx([0.9])
    assert torch.equal(merged.masks[0], filled(0, 0, 10, 8))
    # the second is of another class
    others = merge(sample(([0, 0, 10, 10], 0.9, 0)), sample(([0, 0, 10, 8], 0.6, 3)))
    assert sorted(others.labels.tolist()) == [0, 3]
    assert torch.equal(others.masks[others.labels == 0][0], filled(0, 0, 10, 10))


def test_the_best_are_kept() -> None:
    """At most max_per_img, best first; soft-NMS lowers scores instead."""
    view = sample(
        ([0, 0, 5, 5], 0.3, 0), ([9, 0, 14, 5], 0.8, 0), ([0, 6, 5, 11], 0.5, 1)
    )
    merged = merge(view, max_per_img=2)
    assert merged.scores.tolist() == pytest.approx([0.8, 0.5])
    assert merged.masks.shape == (2, HEIGHT, WIDTH)
    twice = sample(([0, 0, 10, 10], 0.9, 0)), sample(([0, 0, 10, 8], 0.6, 0))
    soft = merge(*twice, nms="soft_nms")
    assert soft.scores.tolist() == pytest.approx([0.9, 0.6 * (1 - 0.8)])


def test_nothing_found_and_no_masks() -> None:
    """Images without objects stay so; boxes alone are merged as boxes."""
    empty = merge(sample(), sample(flip=True, flip_direction="horizontal"))
    assert len(empty) == 0 and empty.masks.shape == (0, HEIGHT, WIDTH)
    view = sample(([0, 0, 5, 5], 0.3, 0))
    del view.pred_instances.masks
    assert "masks" not in merge(view)


def test_other_flips_are_refused() -> None:
    """Vertical flips would be merged upside down."""
    view = sample(([0, 0, 5, 5], 0.3, 0), flip=True, flip_direction="vertical")
    with pytest.raises(ValueError, match="flip_direction='vertical'"):
        merge(view)
