"""Classifier and preprocessor of clips: views, chunks, mixing."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

import mmswinv2.video  # noqa: F401
from mmswinv2.errors import RunError
from mmswinv2.video import VideoClassifier, VideoDataPreprocessor

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
SMOOTH = dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original")
CLASSES = 3


class Toy(nn.Module):
    """A backbone of one convolution, which counts how many views come at once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 2, 2)
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        self.seen.append(len(x))
        return (self.conv(x).sin(),)


def build(**options: object) -> VideoClassifier:
    torch.manual_seed(0)
    head = dict(type="mmswinv2.VideoClsHead", num_classes=CLASSES, in_channels=8)
    cfg = dict(
        type="mmswinv2.VideoClassifier",
        neck=dict(type="GlobalAveragePooling", dim=3),
        head=head | dict(loss=SMOOTH),
        data_preprocessor=dict(num_classes=CLASSES, mean=MEAN, std=STD),
    )
    model = MODELS.build(dict(cfg, backbone=Toy(), **options))
    model.head.fc.weight.data *= 300  # so that scores differ
    return model.eval()


def clips(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


def samples(*labels: int) -> list[DataSample]:
    return [DataSample().set_gt_label(label) for label in labels]


@pytest.mark.parametrize("most", [None, 1, 4, 100])
def test_the_score_is_the_mean_over_views_one_by_one(most: int | None) -> None:
    """Of softmax, not of logits, whatever number of views goes through at once."""
    model = build(max_testing_views=most)
    inputs = clips(2, 5, 3, 4, 8, 8)
    found = model.test_step(dict(inputs=inputs, data_samples=samples(1, 2)))
    chunks = {None: [10], 1: [1] * 10, 4: [4, 4, 2], 100: [10]}[most]
    assert model.backbone.seen == chunks
    scores = torch.stack([sample.pred_score for sample in found])
    mean, std = (torch.tensor(x).view(3, 1, 1, 1) for x in (MEAN, STD))
    with torch.no_grad():
        logits = [model((clip[None] - mean) / std) for clip in inputs.flatten(0, 1)]
    logits = torch.cat(logits).view(2, 5, CLASSES)
    torch.testing.assert_close(scores, logits.softmax(-1).mean(1))
    assert (scores - logits.mean(1).softmax(-1)).abs().max() > 1e-3
    for sample, label in zip(found, (1, 2)):
        assert sample.pred_label == sample.pred_score.argmax()
        assert sample.gt_label == label


def test_one_view_needs_no_axis_of_views() -> None:
    """Clips in a list, as mmengine collates tests, or stacked, with and without it."""
    model = build()
    batch = clips(2, 3, 4, 8, 8)
    expected = None
    for inputs in (batch, [*batch], batch[:, None], [*batch[:, None]]):
        found = model.test_step(dict(inputs=inputs, data_samples=samples(0, 0)))
        scores = torch.stack([sample.pred_score for sample in found])
        expected = scores if expected is None else expected
        assert torch.equal(scores, expected)
    assert len(model.predict(batch.float())) == 2  # samples are made where none come


def test_mixup_mixes_clips_and_targets() -> None:
    """By one share, which then stands in the scores; no test is mixed."""
    model = build(train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8)]))
    inputs = torch.stack([torch.zeros(3, 4, 8, 8), torch.full((3, 4, 8, 8), 255)])
    data = dict(inputs=inputs.byte(), data_samples=samples(0, 2))
    torch.manual_seed(1)  # a permutation that is not the identity
    mixed = model.data_preprocessor(copy.deepcopy(data), training=True)
    share = torch.stack([sample.gt_score for sample in mixed["data_samples"]])
    torch.testing.assert_close(share.sum(1), torch.ones(2))
    assert 0 < share[0, 2] < 1
    mean, std = (torch.tensor(x).view(3, 1, 1, 1) for x in (MEAN, STD))
    for clip, white in zip(mixed["inputs"], share[:, 2]):
        expected = ((255 * white - mean) / std).expand_as(clip)
        torch.testing.assert_close(clip, expected, rtol=1e-4, atol=1e-4)
    plain = model.data_preprocessor(copy.deepcopy(data), training=False)
    assert torch.equal(plain["data_samples"][1].gt_score, torch.eye(3)[2])
    losses = model.loss(mixed["inputs"], mixed["data_samples"])
    assert torch.isfinite(losses["loss"])


@pytest.mark.parametrize("kind", ["CutMix", "ResizeMix"])
def test_boxes_of_pictures_are_refused(kind: str) -> None:
    """They would cut frames and rows."""
    with pytest.raises(ValueError, match=f"augments has {kind}, .*take Mixup"):
        build(train_cfg=dict(augments=[dict(type=kind, alpha=1.0)]))


def test_bad_input_is_named() -> None:
    """A number of views that is none, and clips that differ in size."""
    for most in (0, 2.5):
        with pytest.raises(ValueError, match=f"max_testing_views={most}: expected"):
            build(max_testing_views=most)
    preprocessor = VideoDataPreprocessor(MEAN, STD)
    with pytest.raises(RunError, match=r"shapes \[\(3, 4, 8, 8\), \(3, 4, 8, 9\)\]"):
        preprocessor(dict(inputs=[clips(3, 4, 8, 8), clips(3, 4, 8, 9)]))


def test_dropout_is_of_training_alone() -> None:
    """Predictions repeat; losses do not."""
    model = build()
    inputs = clips(2, 3, 4, 8, 8).float()
    model.train()
    losses = {model.loss(inputs, samples(0, 1))["loss"].item() for _ in range(3)}
    assert len(losses) == 3
    model.eval()
    assert torch.equal(*(model(inputs) for _ in range(2)))


def test_bf16_gives_scores_of_full_precision() -> None:
    """Under autocast, as --amp trains and tests."""
    model = build(max_testing_views=2)
    data = dict(inputs=clips(2, 3, 3, 4, 8, 8), data_samples=samples(0, 1))
    exact = model.test_step(copy.deepcopy(data))
    with torch.autocast("cpu", torch.bfloat16):
        found = model.test_step(data)
    for one, other in zip(found, exact):
        assert one.pred_score.dtype == torch.float32
        torch.testing.assert_close(one.pred_score, other.pred_score, rtol=0, atol=0.02)
