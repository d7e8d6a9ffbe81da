"""Model and scores of the window transfer benchmark."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from network import Net, box_iou, detections, loss, targets
from protocol import BIASES, CONTROL, PRETRAIN, SIZES, STRETCH, Phase, build
from scenes import CLASSES, draw, make_scenes
from scoring import box_ap, mean_iou, relations

from mmswinv2.models import SwinTransformerV2


def confusion_of(truth: torch.Tensor, guess: torch.Tensor, count: int) -> torch.Tensor:
    return (
        (truth * count + guess).flatten().bincount(minlength=count**2).view(count, -1)
    )


def test_mean_iou_is_that_of_mmseg() -> None:
    """On a random label map, with a class that is not there."""
    truth, guess = torch.randint(0, 4, (2, 32, 32))
    areas = IoUMetric.intersect_and_union(guess, truth, 4, 255)
    expected = IoUMetric.total_area_to_metrics(*areas, ["mIoU"])["IoU"]
    ours = mean_iou(confusion_of(truth, guess, 4))
    assert ours == pytest.approx(np.nanmean(expected), rel=1e-5)
    assert mean_iou(confusion_of(truth, guess, 5)) == pytest.approx(ours)


def test_relations_tell_direction_from_distance() -> None:
    """Names 1 to 4 are near, 5 to 8 far; 1 and 5 are the same direction."""
    truth = torch.tensor([1, 2, 3, 4])
    guess = torch.tensor([5, 2, 4, 0])  # distance wrong, right, direction wrong, none
    scores = relations(confusion_of(truth, guess, len(CLASSES)))
    assert scores == pytest.approx({"direction": 2 / 3, "distance": 2 / 3})


def test_perfect_boxes_have_an_ap_of_one() -> None:
    """And wrong names or shifted boxes have not."""
    scenes = make_scenes(5, torch.Generator().manual_seed(0))
    found = []
    for boxes, labels in zip(scenes.boxes, scenes.labels):
        centres, radii = boxes[labels > 0].split(2, dim=-1)
        names = labels[labels > 0, None]
        ones = torch.ones(len(names), 1)
        found.append(torch.cat((centres - radii, centres + radii, ones, names), 1))
    assert box_ap(scenes, found, 64) == pytest.approx(1)
    renamed = [torch.cat((x[:, :5], x[:, 5:] % 9 + 1), 1) for x in found]
    assert box_ap(scenes, renamed, 64) < 0.1
    moved = [x + torch.tensor([0.03, 0, 0.03, 0, 0, 0]) for x in found]
    assert 0.1 < box_ap(scenes, moved, 64) < 0.9


def test_targets_are_the_objects_under_the_tokens() -> None:
    """A token in no box has class 0; in one, its corners."""
    boxes = torch.tensor([[[0.25, 0.5, 0.2, 0.1], [0.9, 0.9, 0.1, 0.1]]])
    classes, corners = targets(boxes, torch.tensor([[3, 0]]), 10)
    assert classes.sum() == 3 * 4 * 2
    assert (classes[0, 4:6, 1 : 5 - 1] == 3).all()
    torch.testing.assert_close(
        corners[0, :, 4, 2], torch.tensor([0.05, 0.4, 0.45, 0.6])
    )


def test_iou() -> None:
    """Of the same box, of one that covers half, and of a far one."""
    a = torch.tensor([[0.0, 0, 2, 2]]).expand(3, 4)
    b = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 2], [5, 5, 6, 6]])
    assert box_iou(a, b).tolist() == [1, 0.5, 0]


def test_detections_suppress_overlaps_of_one_class() -> None:
    """Two tokens that see one object give one box; another class keeps its own."""
    logits = torch.full((1, 2, 1, 3), -9.0)
    logits[0, 0, 0, 0], logits[0, 0, 0, 1], logits[0, 1, 0, 2] = 3.0, 2.0, 1.0
    boxes = torch.tensor([0.1, 0.1, 0.5, 0.5]).view(1, 4, 1, 1).expand(1, 4, 1, 3)
    rows = detections(logits, boxes)[0]
    sure = rows[rows[:, 4] > 0.5]
    assert sure[:, 5].tolist() == [1, 2]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("bias", [*BIASES, CONTROL])
def test_models_of_all_sizes(name: str, bias: str) -> None:
    """Maps at full size and at stride 4; every weight that trains has a gradient."""
    size = replace(SIZES[name], device="cpu")
    net = build(Phase(bias, 0, PRETRAIN, 8), size)
    scenes = make_scenes(2, torch.Generator().manual_seed(0))
    image, labels = draw(scenes, size.image)
    outputs = net(image)
    assert outputs[0].shape == (2, len(CLASSES), size.image, size.image)
    assert outputs[1].shape == (2, len(CLASSES) - 1, size.image // 4, size.image // 4)
    loss(outputs, labels, scenes.boxes, scenes.labels).backward()
    silent = [
        n for n, p in net.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert silent == []
    assert net.backbone.position_bias == ("log_cpb" if bias == CONTROL else bias)


def test_control_has_the_same_bias_everywhere() -> None:
    """So a single window cannot tell where its tokens are."""
    net = build(Phase(CONTROL, 0, PRETRAIN, 8), SIZES["smoke"]).eval()
    for stage in net.backbone.layers:
        for block in stage.blocks:
            assert block.attn.position_bias((24, 24), (8, 8)).unique().numel() == 1
    assert not any("cpb_mlp" in n for n, p in net.named_parameters() if p.requires_grad)


def test_stretch_takes_the_new_window_as_the_unit() -> None:
    """As pre-trained, the unit stays that of the weights."""
    size = SIZES["smoke"]
    weights = build(Phase("log_cpb", 0, PRETRAIN, 8), size).state_dict()
    normalisers = []
    for kind in (PRETRAIN, STRETCH):
        net = build(Phase("log_cpb", 0, kind, 16), size)
        net.load_state_dict(weights)
        normalisers.append(net.backbone.pretrained_window_size)
    assert normalisers == [((8, 8),) * 2, ((16, 16),) * 2]


def test_heads_know_nothing_of_position() -> None:
    """Where the backbone's maps are the same everywhere, so are all guesses."""
    net = Net(SwinTransformerV2("nano"), len(CLASSES))
    net.backbone.forward = lambda image: [
        torch.ones(1, 32 * 2**i, 16 // 2**i, 16 // 2**i) for i in range(4)
    ]
    segment, logits, boxes = net(torch.zeros(1, 3, 64, 64))
    assert segment.flatten(2).std(-1).max() < 1e-6
    assert logits.flatten(2).std(-1).max() < 1e-6
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.flatten(2).std(-1).max() < 1e-6
