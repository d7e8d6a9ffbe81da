"""The objective: labels of tokens, the loss by its formula, and MixToken undone."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmswinv2.engine import Bf16OptimWrapper
from mmswinv2.pretraining import TokenLabelingHead
from mmswinv2.pretraining.token_labeling import mix_token, sample_maps, targets
from mmswinv2.pretraining.token_labeling.targets import Targets, make_targets

CLASSES = 7
SAME = torch.eye(2, 3)


def classifier(head: dict | None = None, **settings: object) -> nn.Module:
    """Small, and of blocks that see one cell of 32 px each and no other."""
    backbone = dict(
        type="mmswinv2.SwinTransformerV2",
        arch="nano",
        depths=(1, 1, 1, 1),
        window_size=[8, 4, 2, 1],
        out_indices=(3,),
        drop_path_rate=0.0,
        **settings.pop("backbone", {}),
    )
    return MODELS.build(
        dict(
            type="mmswinv2.TokenLabelingClassifier",
            backbone=backbone,
            head=dict(
                type="mmswinv2.TokenLabelingHead",
                num_classes=CLASSES,
                in_channels=256,
                **(head or {}),
            ),
            data_preprocessor=dict(num_classes=CLASSES),
            **settings,
        )
    )


def label_maps(batch: int, grid: tuple[int, int] = (5, 6), k: int = 3) -> tuple:
    """Random logits and classes, the same each time."""
    generator = torch.Generator().manual_seed(0)
    shape = batch, CLASSES, *grid
    ids = torch.rand(shape, generator=generator).argsort(1)[:, :k]
    return torch.rand(ids.shape, generator=generator) * 8 - 1, ids


def make_samples(batch: int) -> list[DataSample]:
    values, ids = label_maps(batch)
    samples = []
    for number in range(batch):
        sample = DataSample().set_gt_label(number % CLASSES)
        sample.set_field(values[number].half().numpy(), "token_label_values")
        sample.set_field(ids[number].short().numpy(), "token_label_ids")
        sample.set_field(SAME.double().numpy(), "geometry")
        samples.append(sample)
    return samples


# MixToken


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("size", [(64, 64), (37, 50), (8, 3)])
def test_mixing_twice_is_the_identity(batch: int, size: tuple[int, int]) -> None:
    """Of tokens of stage 0 and of cells; token t belongs to cell t // 8."""
    np.random.seed(0)
    tokens = torch.rand(batch, *size, 2)
    grid = tuple(-(-length // 8) for length in size)
    for less in range(4):  # px
        images = torch.empty(1, 3, *(4 * length - less for length in size))
        assert mix_token.grid_of(images) == grid
    for _ in range(5):
        inside = torch.from_numpy(mix_token.draw_box(grid))
        mixed = mix_token.mix(tokens, inside)
        assert torch.equal(mix_token.mix(mixed, inside), tokens)
        y, x = (torch.arange(length) // 8 for length in size)
        of_tokens = inside[y][:, x]
        assert torch.equal(mixed[:, of_tokens], tokens.flip(0)[:, of_tokens])
        assert torch.equal(mixed[:, ~of_tokens], tokens[:, ~of_tokens])


@pytest.mark.parametrize("grid", [(8, 8), (12, 7), (1, 3)])
def test_boxes(grid: tuple[int, int]) -> None:
    """One rectangle, of all sizes up to the whole, with the mean area of CutMix's."""
    np.random.seed(0)
    shares = []
    for _ in range(500):
        box = mix_token.draw_box(grid)
        rows, columns = box.any(1), box.any(0)
        assert (box == rows[:, None] & columns).all()
        for line in (rows, columns):
            assert np.abs(np.diff(np.r_[0, line, 0])).sum() in (0, 2)
        shares.append(box.mean())
    assert min(shares) < 0.1 and max(shares) > 0.7
    assert 0.25 < np.mean(shares) < 0.5  # half a picture, less what borders cut


@pytest.mark.parametrize("size", [(64, 96), (70, 100)])
def test_unmixed_outputs_are_those_of_each_picture(
    size: tuple[int, int], trained_like: object
) -> None:
    """Exactly, where no window crosses the border of the box."""
    model = trained_like(classifier())
    grid = tuple(-(-length // 32) for length in size)
    inside = torch.zeros(grid, dtype=torch.bool)
    inside[:2, 1:] = True
    images = torch.rand(3, 3, *size)
    with torch.no_grad():
        plain = model.head.token_logits(model.backbone(images))
        mixed = model.backbone(images, partial(mix_token.mix, inside=inside))
        found = model.head.token_logits(mixed)
    assert (found - plain)[[0, 2]][:, inside].abs().max() > 0.01
    assert torch.equal(mix_token.mix(found, inside), plain)


# Labels


def dense_maps(values: Tensor, ids: Tensor) -> Tensor:
    maps = values.new_zeros(len(values), CLASSES, *values.shape[2:])
    return maps.scatter(1, ids, values)


@pytest.mark.parametrize("chunk", [1, 2**30])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_targets_are_sampled_then_normalised(kind: str, chunk: int) -> None:
    """As maps of all classes would be, with 0 for those that a map does not name."""
    values, ids = label_maps(3)
    values = values if kind == "logits" else values.abs() / 8 / 3
    turned = torch.tensor([[0.8, -0.5, 0.3], [0.5, 0.8, -0.2]])
    geometry = torch.stack((SAME, turned, SAME * 0.5))
    with patch.object(targets, "CHUNK", chunk):
        found = make_targets(
            values, ids, geometry, (4, 3), num_classes=CLASSES, kind=kind
        )
    maps, shown = sample_maps(dense_maps(values, ids), geometry, (4, 3))
    maps, shown = maps.flatten(2).transpose(1, 2), shown.flatten(1)
    if kind == "logits":
        expected = maps.softmax(-1)
        assert torch.equal(found.labelled, shown) and 0 < shown[1].sum() < 12
        whole = maps[0].mean(0).softmax(-1)
    else:
        expected = maps / maps.sum(-1, keepdim=True)
        assert torch.equal(found.labelled, shown & (maps.sum(-1) >= 0.5))
        whole = maps[0].mean(0) / maps[0].mean(0).sum()
    torch.testing.assert_close(found.tokens[found.labelled], expected[found.labelled])
    torch.testing.assert_close(found.picture[0], whole)
    torch.testing.assert_close(found.picture.sum(-1), torch.ones(3))


def test_cells_without_a_label_take_no_part() -> None:
    """Void in a map of shares: neither there nor, but for its share, in the whole."""
    values = torch.zeros(1, 2, 2, 2)
    values[0, :, 0] = torch.tensor([[0.9, 0.6], [0.1, 0.4]])
    ids = torch.tensor([5, 2]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    found = make_targets(
        values, ids, SAME[None], (2, 2), num_classes=CLASSES, kind="probabilities"
    )
    assert found.labelled.tolist() == [[True, True, False, False]]
    assert found.picture[0, [5, 2]].tolist() == pytest.approx([0.75, 0.25])


def test_label_of_a_token_is_that_of_its_pixels_at_any_size() -> None:
    """Sizes no multiple of 32 px, and pictures padded to those of others."""
    model = classifier(mix_token=0.0)
    y, x = torch.meshgrid(torch.arange(20), torch.arange(30), indexing="ij")
    x, y = (x + 0.5) / 30, (y + 0.5) / 20
    values = torch.stack((x, y, 2 - x - y)) / 2  # shares of three classes
    ids = torch.arange(3).view(3, 1, 1).expand(3, 20, 30)
    samples = make_samples(2)
    for sample, shape in zip(samples, [(100, 70, 3), (90, 150, 3)]):
        sample.set_field(values, "token_label_values")
        sample.set_field(ids, "token_label_ids")
        sample.set_field("probabilities", "token_label_kind")
        sample.set_field(shape, "img_shape", field_type="metainfo")
    found = model._targets(torch.zeros(2, 3, 100, 150), samples, (4, 5))
    labelled = found.labelled.unflatten(1, (4, 5))
    # 70 of 96 px are 2 cells and a fifth: the third has less than half
    assert labelled[0, :3].sum(1).tolist() == [2, 2, 2]
    assert not labelled[0, 3].any()  # 4 of 32 px
    assert labelled[1].tolist() == [[True] * 5] * 3 + [[False] * 5]
    places = 2 * found.tokens.unflatten(1, (4, 5))[..., :2]
    middles = 16 + 32 * torch.arange(4)
    torch.testing.assert_close(places[0, 0, :2, 0], middles[:2] / 70, atol=2e-3, rtol=0)
    torch.testing.assert_close(
        places[0, :3, 0, 1], middles[:3] / 100, atol=2e-3, rtol=0
    )
    torch.testing.assert_close(places[1, 1, :4, 0], middles / 150, atol=2e-3, rtol=0)


def test_class_target_of_the_folder() -> None:
    """In place of the map's."""
    model = classifier(class_target="label")
    found = model._targets(torch.zeros(3, 3, 64, 64), make_samples(3), (2, 2))
    assert torch.equal(found.picture, torch.eye(CLASSES)[:3])


# Loss


def test_loss_is_the_formula() -> None:
    """Written out for every picture and token."""
    torch.manual_seed(0)
    head = TokenLabelingHead(
        CLASSES, 4, class_weight=0.7, token_weight=1.3, label_smoothing=0.2
    )
    feats = torch.randn(3, 4, 2, 3)
    given = Targets(
        torch.rand(3, 6, CLASSES).softmax(-1),
        torch.rand(3, 6) > 0.3,
        torch.rand(3, CLASSES).softmax(-1),
    )
    inside = torch.tensor([[False, True, True], [False, False, False]])
    found = head.loss((feats,), given, inside)

    def entropy(logits: Tensor, target: Tensor) -> float:
        target = 0.8 * target + 0.2 / CLASSES
        return -(target * (logits - logits.exp().sum().log())).sum().item()

    of_class, of_tokens = [], []
    for i in range(3):
        logits = feats[i].mean((1, 2)) @ head.fc.weight.T + head.fc.bias
        target = 4 / 6 * given.picture[i] + 2 / 6 * given.picture[2 - i]
        of_class.append(entropy(logits, target))
        for cell in range(6):
            y, x = divmod(cell, 3)
            source = 2 - i if inside[y, x] else i
            logits = head.aux.weight @ feats[source, :, y, x] + head.aux.bias
            if given.labelled[i, cell]:
                of_tokens.append(entropy(logits, given.tokens[i, cell]))
    assert found["loss_class"].item() == pytest.approx(0.7 * np.mean(of_class))
    assert found["loss_token"].item() == pytest.approx(1.3 * np.mean(of_tokens))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_output_of_tests(share: float, trained_like: object) -> None:
    """The mean token's logits, and the largest of any token for each class."""
    model = trained_like(classifier(dict(test_token_weight=share)))
    images = torch.rand(2, 3, 64, 96)
    (feats,) = model.backbone(images)
    expected = model.head.fc(feats.mean((2, 3)))
    tokens = [model.head.aux(token) for token in feats.flatten(2).unbind(2)]
    expected = expected + share * torch.stack(tokens).max(0).values
    torch.testing.assert_close(model(images), expected)
    scores = torch.stack([s.pred_score for s in model.predict(images)])
    torch.testing.assert_close(scores, expected.softmax(-1))


def gradients(model: nn.Module, amp: bool = False) -> list[Tensor]:
    np.random.seed(3)
    torch.manual_seed(0)
    images = torch.rand(4, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        losses = model.loss(images, make_samples(4))
    sum(losses.values()).backward()
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    found = [p.grad for p in model.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in found)
    return found


def test_gradients_with_recomputation_and_in_16_bits(trained_like: object) -> None:
    """Every parameter has one; recomputed ones are the same."""
    plain, again, half = (
        trained_like(classifier(backbone=dict(with_cp=with_cp))).train()
        for with_cp in (False, True, False)
    )
    expected, found = gradients(plain), gradients(again)
    assert all(torch.equal(a, b) for a, b in zip(expected, found))
    gradients(half, amp=True)


def test_the_backbone_has_the_precision_of_its_strategy() -> None:
    """Which is set around its forward pass, as on CPUs and under FSDP."""
    model, seen = classifier(), []
    for part in (model.backbone.layers[0].blocks[0].mlp, model.head.aux):
        part.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    wrapper = Bf16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    with wrapper.optim_context(model):
        model.loss(torch.rand(2, 3, 64, 64), make_samples(2))
    assert seen == [torch.bfloat16, torch.float32]


def test_a_compiled_model_draws_the_same_boxes(trained_like: object) -> None:
    """All but its backbone, which has a test of its own."""
    model, samples = trained_like(classifier()), make_samples(3)
    torch.compiler.disable(model.backbone)
    torch.compiler.reset()
    images = torch.rand(3, 3, 64, 96)
    losses = []
    for loss in (model.loss, torch.compile(model.loss, backend="eager")):
        np.random.seed(0)
        losses += [loss(images, samples) for _ in range(2)]
    torch.testing.assert_close(losses[:2], losses[2:])
    assert losses[0]["loss_class"] != losses[1]["loss_class"]


# Bad input


def test_another_mix_of_batches_is_refused() -> None:
    """Mixup or CutMix beside MixToken, wherever they are switched on."""
    for augment, name in (("Mixup", "Mixup"), ("CutMix", "CutMix")):
        augments = [dict(type=augment, alpha=1.0)]
        with pytest.raises(ValueError, match=rf"^{name} would mix .* mixes itself"):
            classifier(train_cfg=dict(augments=augments))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (dict(mix_token=1.5), r"mix_token=1.5: expected a share"),
        (dict(class_target="folder"), r"class_target='folder': expected 'map' or"),
        (dict(head=dict(class_weight=-1.0)), r"class_weight=-1.0, .* from 0 on"),
        (dict(head=dict(class_weight=0, token_weight=0)), r"not both 0"),
        (dict(head=dict(label_smoothing=1.0)), r"label_smoothing=1.0: expected a"),
    ],
)
def test_arguments(settings: dict, sentence: str) -> None:
    """Out of range, they are refused."""
    with pytest.raises(ValueError, match=sentence):
        classifier(**settings)


@pytest.mark.parametrize("field", ["token_label_values", "geometry"])
def test_a_picture_without_its_map(field: str) -> None:
    """Named, with what to write into the pipeline."""
    samples = make_samples(2)
    samples[1].set_field("b.jpg", "img_path", field_type="metainfo")
    samples[1].pop(field)
    with pytest.raises(ValueError, match=rf"^b.jpg comes without {field}: .*Pack"):
        classifier().loss(torch.zeros(2, 3, 64, 64), samples)
