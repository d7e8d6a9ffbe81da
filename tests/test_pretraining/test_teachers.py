"""Teachers: what they say of tokens is what they say of the picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from tiny import SEG, build_model, load_script, load_tiny
from tiny_classifier import CONFIG
from torch import Tensor, nn

import mmswinv2.pretraining  # noqa: F401
from mmswinv2.pretraining.teachers import ConfigTeacher, TimmTeacher, build_teacher
from mmswinv2.pretraining.teachers.base import MEAN, STD

isolated = load_script("benchmarks/backbone/isolated.py")
SWIN = dict(embed_dim=16, depths=(1, 1, 1), num_heads=(1, 2, 4), window_size=4)
# Names and arguments of timm, and the map of 64 x 96 px.
TIMM = {
    "CNN": ("test_resnet", {}, (2, 3)),
    "normaliser-free": ("test_nfnet", {}, (2, 3)),
    "norm after pooling": ("test_convnext", {}, (2, 3)),
    "ViT of mean tokens": ("test_vit", dict(global_pool="avg"), (4, 6)),
    "Swin V2": ("swinv2_tiny_window8_256", SWIN, (4, 6)),
}


def raw(images: Tensor) -> Tensor:
    """Pixels of 0 to 255 of images that are normalised as ours are."""
    shape = (3, 1, 1)
    return images * torch.tensor(STD).view(shape) + torch.tensor(MEAN).view(shape)


def images(count: int = 2, size: tuple[int, int] = (64, 96)) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


def spread(model: nn.Module) -> nn.Module:
    """Random weights under which no two pictures look alike."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(noise * parameter[0].numel() ** -0.5)
    return model.eval()


def timm_teacher(name: str, **args: object) -> TimmTeacher:
    args = dict(num_classes=7, **args)
    given = dict(pretrained=False, input_size=(64, 96), model_args=args)
    torch.manual_seed(0)  # of what spread() leaves
    teacher = build_teacher(dict(type="mmswinv2.TimmTeacher", model=name, **given))
    spread(teacher.model)
    return teacher


@pytest.fixture
def classifier(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A config whose mean is no ImageNet's and whose channels are BGR, and weights."""
    config = tmp_path / "classifier.py"
    text = CONFIG.format(root="none").replace("to_rgb=True", "to_rgb=False")
    config.write_text(text.replace("123.675, 116.28, 103.53", "100.0, 110.0, 120.0"))
    model = spread(build_model(Config.fromfile(config)))
    meta = dict(dataset_meta=dict(classes=["floor", "grass", "sky"]))
    file = tmp_path / "weights.pth"
    torch.save(dict(state_dict=model.state_dict(), meta=meta), file)
    return config, model


@pytest.mark.parametrize("case", TIMM)
def test_mean_of_a_map_is_the_answer_of_timm(case: str) -> None:
    name, args, size = TIMM[case]
    teacher = timm_teacher(name, **args)
    logits = teacher.logits(images())
    assert logits.shape == (2, 7, *size)
    config = timm.data.resolve_data_config(model=teacher.model)
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = teacher.model((raw(images()) / 255 - mean) / std)
    torch.testing.assert_close(logits.mean((2, 3)), expected, rtol=1e-4, atol=1e-4)
    assert logits.std((2, 3)).min() > 0.001 * expected.abs().max()  # tokens differ
    features = teacher.features(images())
    assert features.shape == (2, teacher.channels, *size)


def test_weights_of_timm_bring_their_own_classes(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    torch.save(timm.create_model("resnet10t", num_classes=4).state_dict(), file)
    teacher = build_teacher("resnet10t", weights=file)
    assert teacher.num_classes == 4
    assert teacher.logits(images()).shape[1] == 4


def test_mean_of_a_map_is_the_answer_of_our_classifier(
    classifier: tuple[Path, nn.Module],
) -> None:
    """Whatever it normalises with, in the order of channels that it has."""
    config, model = classifier
    teacher = build_teacher(str(config), weights=config.parent / "weights.pth")
    assert teacher.classes == ("floor", "grass", "sky")
    assert teacher.input_size == (32, 32)
    given = images()
    data = dict(inputs=raw(given).flip(1))  # BGR, as its loader reads them
    expected = model(model.data_preprocessor(data)["inputs"], mode="tensor")
    logits = teacher.logits(given)
    assert logits.shape == (2, 3, 2, 3)
    torch.testing.assert_close(logits.mean((2, 3)), expected, rtol=1e-4, atol=1e-4)


def test_a_head_that_was_trained_on_tokens_answers_for_them(tmp_path: Path) -> None:
    backbone = dict(type="mmswinv2.SwinTransformerV2", arch="nano", out_indices=(3,))
    head = dict(type="mmswinv2.TokenLabelingHead", num_classes=3, in_channels=256)
    model = dict(type="mmswinv2.TokenLabelingClassifier", backbone=backbone, head=head)
    model["data_preprocessor"] = dict(mean=[*MEAN], std=[*STD], to_rgb=True)
    cfg = Config(dict(model=model, default_scope="mmpretrain"))
    own = spread(build_model(cfg))
    torch.save(dict(state_dict=own.state_dict()), tmp_path / "tokens.pth")
    given = dict(type="mmswinv2.ConfigTeacher", config=cfg.to_dict())
    teacher = build_teacher(given, weights=tmp_path / "tokens.pth")
    expected = own.head.aux(own.backbone(images())[-1].movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(teacher.logits(images()), expected)


def test_a_segmentor_gives_the_logits_of_its_decode_head(tmp_path: Path) -> None:
    cfg = load_tiny(SEG)
    model = spread(build_model(cfg))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "seg.pth")
    teacher = ConfigTeacher(SEG, weights=tmp_path / "seg.pth")
    assert teacher.input_size == tuple(cfg.model.data_preprocessor.size)
    expected = model.decode_head(model.extract_feat(images()))
    torch.testing.assert_close(teacher.logits(images()), expected)
    assert teacher.num_classes == expected.shape[1]
    assert teacher.features(images()).shape == (2, teacher.channels, 2, 3)


def test_a_backbone_gives_features_alone(tmp_path: Path) -> None:
    """SimMIM's, from its checkpoint or from the config's own init_cfg."""
    backbone = dict(type="mmswinv2.SimMIMSwinV2", arch="nano")
    file = tmp_path / "backbone.pth"
    own = MODELS.build(dict(backbone))
    torch.save(dict(state_dict=own.state_dict()), file)
    backbone["init_cfg"] = dict(type="Pretrained", checkpoint=str(file))
    neck = dict(type="SimMIMLinearDecoder", in_channels=256, encoder_stride=32)
    loss = dict(type="PixelReconstructionLoss", criterion="L1", channel=3)
    head = dict(type="SimMIMHead", patch_size=4, loss=loss)
    model = dict(type="SimMIM", backbone=backbone, neck=neck, head=head)
    config = dict(model=model, default_scope="mmpretrain")
    teacher = build_teacher(dict(type="mmswinv2.ConfigTeacher", config=config))
    assert teacher.channels == 256 and teacher.num_classes is None
    normalised = images()
    expected = own.eval()(raw(normalised).flip(1))[-1]  # it has no preprocessor
    torch.testing.assert_close(teacher.features(normalised), expected)
    with pytest.raises(ValueError, match="weights are of a backbone alone"):
        teacher.logits(normalised)


def test_models_of_hugging_face(tmp_path: Path) -> None:
    """Class tokens are dropped; a norm for the pooled token is the final one."""
    small = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    small |= dict(intermediate_size=64, image_size=64, patch_size=16, num_labels=5)
    swin = dict(embed_dim=16, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=4)
    with isolated.transformers_visible():
        import transformers as library

        models = dict(
            dinov2=library.Dinov2ForImageClassification(library.Dinov2Config(**small)),
            swinv2=library.Swinv2ForImageClassification(
                library.Swinv2Config(image_size=64, num_labels=5, **swin)
            ),
            vit=library.ViTForImageClassification(library.ViTConfig(**small)),
            clip=library.CLIPVisionModel(library.CLIPVisionConfig(**small)),
        )
        teachers = {}
        for name, model in models.items():
            spread(model).save_pretrained(tmp_path / name)
            half = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
            library.ViTImageProcessor(**half).save_pretrained(tmp_path / name)
            teachers[name] = build_teacher(f"hf:{tmp_path / name}")
        given = images()
        own = dict(pixel_values=(raw(given) / 255 - 0.5) / 0.5)
        for name in ("dinov2", "swinv2"):
            logits = teachers[name].logits(given)
            expected = models[name](**own).logits
            torch.testing.assert_close(
                logits.mean((2, 3)), expected, rtol=1e-4, atol=1e-4
            )
            assert logits.shape == (2, 5, 4, 6)
        for teacher in teachers.values():
            assert teacher.features(given).shape == (2, teacher.channels, 4, 6)
        hidden = models["clip"](**own, interpolate_pos_encoding=True).last_hidden_state
        normed = models["clip"].post_layernorm(hidden[:, 1:])
        expected = normed.transpose(1, 2).unflatten(2, (4, 6))
        torch.testing.assert_close(teachers["clip"].features(given), expected)
        with pytest.raises(ValueError, match="classifies by its class token"):
            teachers["vit"].logits(given)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("test_vit", "by its class token"), ("mobilenetv3_small_050", "the mean of its")],
)
def test_a_head_that_is_not_linear_in_the_mean_is_refused(
    name: str, reason: str
) -> None:
    teacher = timm_teacher(name)
    if name.startswith("mobilenet"):  # whose activation is linear around 0
        teacher.model.conv_head.weight.mul_(1000)
    assert teacher.features(images()).shape[1] == teacher.channels
    with pytest.raises(ValueError, match=f"no logits of tokens: .*{reason}"):
        teacher.logits(images())


def test_a_teacher_learns_nothing_and_is_known_by_its_weights() -> None:
    teacher = timm_teacher("test_resnet")
    assert not teacher.train().model.training
    given = images().requires_grad_()
    assert not teacher.features(given).requires_grad
    build = dict(type="mmswinv2.TimmTeacher", model="test_resnet", pretrained=False)
    torch.manual_seed(0)
    first = build_teacher(build).identity
    torch.manual_seed(0)
    assert build_teacher(build).identity == first
    assert build_teacher(build).identity != first


def test_what_is_no_teacher_is_told_in_one_sentence(
    classifier: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    config, _ = classifier
    state = timm.create_model("test_resnet").state_dict()
    torch.save(state, tmp_path / "resnet.pth")
    cases = [
        (dict(spec="resnet_of_mine"), ValueError, "nor a model of timm"),
        (
            dict(spec="test_vit", weights=tmp_path / "resnet.pth"),
            RuntimeError,
            "does not fit the teacher test_vit",
        ),
        (dict(spec=str(config)), ValueError, "has no weights: give a checkpoint"),
        (
            dict(spec=str(config), weights=tmp_path / "resnet.pth"),
            RuntimeError,
            "has no weights for a ImageClassifier",
        ),
        (dict(spec=f"hf:{tmp_path}/none"), RuntimeError, "transformers"),
    ]
    for given, kind, expected in cases:
        with pytest.raises(kind, match=expected) as caught:
            build_teacher(**given)
        assert "\n" not in str(caught.value)
