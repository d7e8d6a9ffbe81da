"""Classifiers of published weights, in every layout, through every way of loading."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import ConfigDict
from mmengine.runner import load_checkpoint
from timm.data import ImageNetInfo
from torch import Tensor, nn

import mmswinv2.pretraining  # noqa: F401
from mmswinv2.apis import load_trained_weights
from mmswinv2.checkpoints import SwinWeights, read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.checkpoints.windows import effective_windows
from mmswinv2.models import SwinTransformerV2
from mmswinv2.pretraining.linear_head import in22k_to_in1k
from mmswinv2.registry import MODELS

# window, px, and those of pre-training: trained on 1K, and on 22K before
CASES = {"1k": (8, 64, 8, 64), "22k-to-1k": (12, 96, 6, 48)}


def build_classifier(classes: int, **options: object) -> nn.Module:
    return MODELS.build(
        ConfigDict(
            type="mmpretrain.ImageClassifier",
            backbone=dict(
                type="mmswinv2.SwinTransformerV2",
                arch="nano",
                out_indices=(3,),
                **options,
            ),
            neck=dict(type="mmpretrain.GlobalAveragePooling"),
            head=dict(
                type="mmswinv2.LinearClsHead", num_classes=classes, in_channels=256
            ),
        )
    ).eval()


@pytest.fixture
def weights(trained_like: Callable) -> Callable[..., SwinWeights]:
    """Makes weights of 'nano' with a classifier."""

    def make(classes: int, case: str = "1k") -> SwinWeights:
        window, px, unit, unit_px = CASES[case]
        model = trained_like(SwinTransformerV2("nano", out_indices=(3,)))
        tensors = {k: v for k, v in model.state_dict().items() if k != "window_record"}
        generator = torch.Generator().manual_seed(0)
        tensors["head.weight"] = torch.randn(classes, 256, generator=generator)
        tensors["head.bias"] = torch.randn(classes, generator=generator)
        pairs = zip(effective_windows(window, px), effective_windows(unit, unit_px))
        return SwinWeights("mmswinv2", tensors, [*pairs])

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[[SwinWeights, str], str]:
    """Saves weights in a layout; a folder where one is usual."""

    def write(weights: SwinWeights, layout: str, file: str = "weights") -> str:
        path = tmp_path / (file if layout in ("hf", "timm") else f"{file}.pth")
        convert(weights, layout).save(path)
        return str(path)

    return write


@pytest.mark.parametrize("case", CASES)
def test_logits_are_timms(case: str, weights: Callable, save: Callable) -> None:
    """The same file gives timm's model and ours the same logits."""
    window, px, unit, unit_px = CASES[case]
    file = save(weights(10, case), "timm")
    theirs = timm.create_model(f"local-dir:{file}", pretrained=True).eval()
    ours = build_classifier(10, window_size=window)
    load_trained_weights(ours, file)
    units = tuple((size, size) for size, _ in effective_windows(unit, unit_px))
    assert ours.backbone.pretrained_window_size == units
    images = torch.rand(2, 3, px, px, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(images)
        logits = ours(images, mode="tensor")
    assert expected.std() > 0.1
    assert (logits - expected).norm() / expected.norm() < 1e-5


def assert_head(model: nn.Module, weights: SwinWeights) -> None:
    assert torch.equal(model.head.fc.weight, weights.tensors["head.weight"])
    assert torch.equal(model.head.fc.bias, weights.tensors["head.bias"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(
    layout: str, weights: Callable, save: Callable, logs: list[str]
) -> None:
    """Files of all layouts load in full, by load_from, init_cfg and for tests."""
    trained = weights(10)
    file = save(trained, layout)
    by_load_from = build_classifier(10)
    load_checkpoint(by_load_from, file, logger="current")
    by_init_cfg = build_classifier(10)
    by_init_cfg.init_cfg = dict(type="Pretrained", checkpoint=file)
    by_init_cfg.init_weights()
    for_test = build_classifier(10)
    load_trained_weights(for_test, file)
    for model in (by_load_from, by_init_cfg, for_test):
        assert_head(model, trained)
    assert "ignored: nothing" in "\n".join(logs)
    assert "do not match" not in "\n".join(logs)


def test_a_classifier_of_ours_goes_into_other_layouts(
    weights: Callable, save: Callable, tmp_path: Path
) -> None:
    """What a run of ours saves is read in full, its classifier too."""
    trained = weights(10)
    model = build_classifier(10)
    load_trained_weights(model, save(trained, "official"))
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {}}, path)
    read = read_swin_weights(path)
    assert read.unused == []
    assert torch.equal(read.tensors["head.weight"], trained.tensors["head.weight"])
    assert_head_of(convert(read, "timm").tensors, trained)


def assert_head_of(tensors: dict[str, Tensor], weights: SwinWeights) -> None:
    assert torch.equal(tensors["head.fc.weight"], weights.tensors["head.weight"])


def test_22k_becomes_1k(weights: Callable, save: Callable) -> None:
    """Of 21841 classes those of ImageNet-1K, in its order; a resumed run keeps all."""
    trained = weights(21841)
    file = save(trained, "official")
    model = build_classifier(1000)
    load_trained_weights(model, file)
    rows = in22k_to_in1k()
    assert torch.equal(model.head.fc.weight, trained.tensors["head.weight"][rows])
    assert torch.equal(model.head.fc.bias, trained.tensors["head.bias"][rows])
    whole = build_classifier(21841)
    load_trained_weights(whole, file)
    assert_head(whole, trained)


def test_other_numbers_of_classes_start_from_zero(
    weights: Callable, save: Callable, logs: list[str]
) -> None:
    """As in the official code, said once; what shall be tested is refused."""
    file = save(weights(10), "official")
    model = build_classifier(3)
    load_checkpoint(model, file)
    assert not model.head.fc.weight.any() and not model.head.fc.bias.any()
    (line,) = [text for text in logs if "starts from zero" in text]
    assert "has 10 classes, this one 3 (model.head.num_classes)" in line
    with pytest.raises(RuntimeError, match="does not fit this ImageClassifier: its"):
        load_trained_weights(model, file)


def test_the_map_follows_from_wordnet_ids() -> None:
    """Ranks of ImageNet-1K's ids among all; but the teddy, which is not there."""
    rows = in22k_to_in1k()
    assert (len(rows), len(rows.unique()), rows.min(), rows.max()) == (
        1000,
        1000,
        359,
        21817,
    )
    ids = ImageNetInfo("imagenet21k_goog").label_names()
    rank = {name: number for number, name in enumerate(sorted(ids))}
    names = ImageNetInfo("imagenet-1k").label_names()
    assert [n for n in names if n not in rank] == ["n04399382"] == names[850:851]
    rank["n04399382"] = 5564
    assert rows.tolist() == [rank[name] for name in names]


def test_initialisation() -> None:
    """A normal distribution of deviation 0.02, biases of zero, as officially."""
    model = build_classifier(1000)
    model.init_weights()
    assert model.head.fc.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not model.head.fc.bias.any()
