"""Loading published weights, through every path that a user takes."""

import re

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from torch import nn

from mmswinv2.models import SwinTransformerV2
from mmswinv2.ops.log_coords import log_spaced_coords


class Detector(BaseModel):
    """A model that has a backbone, as detectors and segmentors have."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = MMDET_MODELS.build(backbone)
        self.bbox_head = nn.Linear(2, 2)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return self.backbone(inputs)


def official(model, window=8, pretrained=8, shrunk=None):
    """Weights in the official layout: its names, its buffers, its head."""
    weights = {"norm.weight": torch.rand(256), "norm.bias": torch.rand(256)}
    weights |= {"head.weight": torch.rand(10, 256), "head.bias": torch.rand(10)}
    for name, tensor in model.state_dict().items():
        if not re.match(r"norm\d|window_record", name):
            weights[name] = tensor
        if name.endswith("attn.logit_scale"):
            stage3 = name.startswith("layers.3.") and shrunk
            size, unit = shrunk if stage3 else (window, pretrained)
            prefix = name.removesuffix("logit_scale")
            coords = log_spaced_coords((size, size), (unit, unit))[None]
            weights[prefix + "relative_coords_table"] = coords
            index = torch.zeros(size**2, size**2, dtype=torch.long)
            weights[prefix + "relative_position_index"] = index
    weights["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 64, 64)
    return {"model": weights}


@pytest.fixture
def source(trained_like):
    return trained_like(SwinTransformerV2("nano"))


@pytest.fixture
def file(source, tmp_path):
    path = tmp_path / "swinv2_nano_window8.pth"
    torch.save(official(source), path)
    return str(path)


def block_weights(model):
    return {k: v for k, v in model.state_dict().items() if k.startswith("layers")}


def assert_loaded(backbone, source):
    expected = block_weights(source)
    for name, tensor in block_weights(backbone).items():
        assert torch.equal(tensor, expected[name]), name
    assert backbone.pretrained_window_size == ((8, 8),) * 4


BACKBONE = dict(type="mmswinv2.SwinTransformerV2", arch="nano", window_size=16)


def test_init_cfg_loads_the_official_layout(file, source):
    model = SwinTransformerV2(
        "nano", window_size=16, init_cfg=dict(type="Pretrained", checkpoint=file)
    )
    model.init_weights()
    assert_loaded(model, source)
    weights = torch.load(file)["model"]
    assert torch.equal(model.norm3.weight, weights["norm.weight"])
    assert model.norm0.weight.eq(1).all()


def test_init_cfg_loads_inside_a_detector(file, source):
    init_cfg = dict(type="Pretrained", checkpoint=file)
    detector = Detector(ConfigDict(BACKBONE, init_cfg=init_cfg))
    detector.init_weights()
    assert_loaded(detector.backbone, source)


def test_load_from_loads_an_official_file_into_a_detector(file, source):
    detector = Detector(BACKBONE)
    load_checkpoint(detector, file)
    assert_loaded(detector.backbone, source)


def test_plain_load_state_dict_takes_the_file_as_it_is(file, source):
    model = SwinTransformerV2("nano", window_size=16)
    assert (
        str(model.load_state_dict(torch.load(file)))
        == "<All keys matched successfully>"
    )
    assert_loaded(model, source)


def test_a_detector_loads_its_own_weights_strictly_at_another_window(source):
    detector = Detector(dict(BACKBONE, window_size=8))
    detector.backbone.load_state_dict(source.state_dict())
    other = Detector(BACKBONE)
    other.load_state_dict(detector.state_dict())
    assert_loaded(other.backbone, source)
    bare = SwinTransformerV2("nano", window_size=16)
    bare.load_state_dict(detector.state_dict())
    assert_loaded(bare, source)


@pytest.mark.parametrize(
    ("window", "pretrained", "shrunk", "expected"),
    [
        (16, 16, (8, 8), [16, 16, 16, 8]),  # window 16 at 256 px
        (24, 12, (12, 6), [12, 12, 12, 6]),  # the 12-to-24 fine-tunes
    ],
)
def test_window_and_normaliser_come_from_the_checkpoint_per_stage(
    source, window, pretrained, shrunk, expected
):
    model = SwinTransformerV2("nano", window_size=32)
    model.load_state_dict(official(source, window, pretrained, shrunk))
    assert [h for h, _ in model.pretrained_window_size] == expected
    before = [windows[0][0] for windows in model.loaded.windows]
    assert before == [window] * 3 + [shrunk[0]]


def test_the_report_says_what_was_matched_and_how_windows_changed(file, logs):
    load_checkpoint(Detector(BACKBONE), file)
    report = "\n".join(logs)
    assert "Loaded official Swin V2 weights into backbone: all 183 tensors" in report
    assert "not in it: norm0, norm1, norm2; ignored: head.weight, head.bias" in report
    assert "8 -> 16, 8 -> 16, 8 -> 16, 8 -> 16; normaliser 8, 8, 8, 8" in report
    assert "unexpected key" not in report


def test_an_explicit_normaliser_is_kept_with_a_warning(source, logs):
    model = SwinTransformerV2("nano", window_size=16, pretrained_window_size=16)
    model.load_state_dict(official(source))
    assert model.pretrained_window_size == ((16, 16),) * 4
    assert "the checkpoint has 8, 8, 8, 8" in "\n".join(logs)


def test_weights_that_do_not_tell_their_window_need_an_explicit_one(source):
    weights = {k: v for k, v in source.state_dict().items() if k != "window_record"}
    model = SwinTransformerV2("nano")
    with pytest.raises(ValueError, match="write pretrained_window_size=8"):
        model.load_state_dict(weights)
    model = SwinTransformerV2("nano", pretrained_window_size=8)
    model.load_state_dict(weights)
    assert_loaded(model, source)


def test_a_single_missing_tensor_is_named_and_nothing_is_loaded(source):
    weights = official(source)["model"]
    del weights["layers.1.blocks.0.mlp.fc1.bias"]
    with pytest.raises(
        RuntimeError,
        match=r"of 183 tensors 1 are missing.*missing: layers\.1\.blocks\.0\.mlp\.fc1",
    ):
        SwinTransformerV2("nano").load_state_dict(weights, strict=False)


def test_extra_norms_that_were_never_trained_are_not_taken_for_loaded(source):
    model = SwinTransformerV2("nano", extra_norm_every_n_blocks=2)
    with pytest.raises(
        RuntimeError, match=r"missing: .*norm3.*model .*, extra_norm_every_n_blocks=2"
    ):
        model.load_state_dict(official(source), strict=False)


def without_mlps(weights):
    return {k: v for k, v in weights.items() if ".mlp." not in k}


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (without_mlps, r"do not fit: of 183 tensors \d+ are missing.*missing: .*fc1"),
        (
            lambda _: SwinTransformerV2("tiny").state_dict(),
            "embed_dims=96.*embed_dims=32",
        ),
        (
            lambda _: SwinTransformerV2("nano", depths=(2, 2, 8, 2)).state_dict(),
            r"depths=\(2, 2, 8, 2\).*, the model .*depths=\(2, 2, 4, 2\)",
        ),
        (
            lambda w: w | {"absolute_pos_embed": torch.zeros(1, 4, 32)},
            "have no place.*absolute_pos_embed",
        ),
        (
            lambda _: {
                "layers.0.blocks.0.attn.relative_position_bias_table": torch.ones(1)
            },
            "looks like Swin Transformer V1",
        ),
        (
            lambda _: {"blocks.0.attn.qkv.weight": torch.ones(1)},
            "looks like a plain ViT",
        ),
        (lambda _: {"layer1.0.conv1.weight": torch.ones(1)}, "looks like a ResNet"),
        (lambda _: {"x": torch.ones(1)}, "in no known layout"),
        (lambda _: {}, "no tensors for this backbone"),
    ],
)
def test_weights_of_another_model_are_refused_and_change_nothing(
    break_it, message, source
):
    model = SwinTransformerV2("nano")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=message):
        model.load_state_dict(break_it(official(source)["model"]), strict=False)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    "other", [dict(type="ResNet", depth=18), dict(type="SwinTransformer")]
)
def test_a_detector_checkpoint_with_another_backbone_is_refused(other, tmp_path):
    path = str(tmp_path / "other.pth")
    torch.save(
        {"state_dict": Detector(dict(other, _scope_="mmdet")).state_dict()}, path
    )
    with pytest.raises(
        RuntimeError, match=r"no Swin V2 weights found: this looks like"
    ):
        load_checkpoint(Detector(BACKBONE), path)
