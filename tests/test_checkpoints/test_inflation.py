"""Weights of images in a backbone of videos, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from torch import nn

from mmswinv2.checkpoints import read_swin_weights
from mmswinv2.checkpoints.convert import convert
from mmswinv2.checkpoints.layouts import LAYOUTS
from mmswinv2.models import SwinTransformerV2
from mmswinv2.video.backbone import VideoSwinTransformerV2

SMALL = dict(embed_dims=16, depths=(2, 2), num_heads=(1, 2), out_indices=(0, 1))
sizes = st.integers(1, 5)


class Classifier(BaseModel):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs):
        return self.backbone(inputs)


@pytest.fixture
def image(trained_like):
    """An image backbone as training leaves it."""
    return trained_like(SwinTransformerV2(window_size=[(4, 5), (3, 4)], **SMALL))


def video(window=4, **options):
    return VideoSwinTransformerV2(window_size=window, **{**SMALL, **options}).eval()


def assert_static_clip_is_the_image(model, image, size, frames):
    """Every map at every time, to 1e-5 of the largest feature.

    In fp64, as attention that is as sharp as trained one enlarges what fp32 rounds.
    """
    model, image = model.double(), image.double()
    picture = torch.randn(1, 3, *size, dtype=torch.float64)
    clip = picture[:, :, None].expand(-1, -1, frames, -1, -1)
    with torch.no_grad():
        for out, expected in zip(model(clip), image(picture), strict=True):
            error = (out - expected[:, :, None]).abs().max()
            assert error < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("bias", ["log_cpb", "linear_cpb", "table"])
@pytest.mark.parametrize("tubelet", [1, 2, 3])
def test_a_static_clip_has_the_features_of_the_image(bias, tubelet, trained_like):
    """Also with other windows than the checkpoint's, shifted, shrunk and padded."""
    options = dict(SMALL, position_bias=bias)
    source = trained_like(SwinTransformerV2(window_size=[(4, 5), (3, 4)], **options))
    image = SwinTransformerV2(window_size=[(6, 3), (2, 7)], **options).eval()
    model = video([(3, 6, 3), (4, 2, 7)], temporal_patch_size=tubelet, **options)
    for target in (image, model):
        target.load_state_dict(source.state_dict())
    assert_static_clip_is_the_image(model, image, (44, 57), frames=7 * tubelet)


@settings(max_examples=15)
@given(st.tuples(sizes, sizes, sizes), st.tuples(sizes, sizes, sizes), sizes)
def test_a_static_clip_has_them_at_any_size_and_window(window, size, seed):
    torch.manual_seed(seed)
    weights = SwinTransformerV2(window_size=4, **SMALL).state_dict()
    for name, tensor in weights.items():
        if "norm" in name:  # else zeros, and so would be every difference
            weights[name] = torch.rand_like(tensor)
        elif "cpb_mlp" in name:
            weights[name] = 0.3 * torch.randn_like(tensor)
    frames, height, width = size
    image = SwinTransformerV2(window_size=[window[1:]] * 2, **SMALL).eval()
    model = video(window)
    for target in (image, model):
        target.load_state_dict(dict(weights))
    px = (7 * height, 9 * width)
    assert_static_clip_is_the_image(model, image, px, frames=2 * frames)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_load_from_any_layout(layout, image, tmp_path):
    torch.save(image.state_dict(), tmp_path / "own.pth")
    weights = read_swin_weights(tmp_path / "own.pth")
    file = tmp_path / "published.safetensors"
    convert(weights, layout).save(file)
    model = video(init_cfg=dict(type="Pretrained", checkpoint=str(file)))
    model.init_weights()
    assert model.pretrained_window_size == ((4, 4, 5), (4, 3, 4))
    for name, tensor in model.state_dict().items():
        if "cpb_mlp.0.weight" in name:
            assert not tensor[:, 0].any()
            assert torch.equal(tensor[:, 1:], image.state_dict()[name])
        elif "qkv" in name or "reduction" in name:
            assert torch.equal(tensor, image.state_dict()[name])


def test_a_detector_loads_and_the_report_says_what_was_inflated(image, tmp_path, logs):
    file = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": Classifier(image).state_dict()}, file)
    model = Classifier(video([(8, 4, 4), (6, 4, 4)]))
    load_checkpoint(model, str(file))
    report = "\n".join(logs)
    assert "inflated from images: patch embedding over 2 frames, 4 meta net" in report
    assert "8x4x5 -> 8x4x4, 6x3x4 -> 6x4x4; normaliser 8x4x5, 6x3x4" in report
    assert model.backbone.loaded.windows[0] == ((8, 4, 5), (8, 4, 5))


def test_weights_without_windows_need_them_and_take_those_of_the_config(image):
    weights = {k: v for k, v in image.state_dict().items() if k != "window_record"}
    with pytest.raises(ValueError, match="write pretrained_window_size=8"):
        video().load_state_dict(dict(weights))
    model = video(pretrained_window_size=[(2, 4, 5), (2, 3, 4)])
    model.load_state_dict(weights)
    image.set_window_size(4)
    assert_static_clip_is_the_image(model, image, (40, 40), frames=4)


def test_stages_that_are_not_built_are_left_out(image):
    model = video(out_indices=(0,))
    model.load_state_dict(image.state_dict())
    assert model.pretrained_window_size == ((4, 4, 5),)


def test_the_weights_of_time_learn_from_their_zeros(image):
    model = video()
    model.load_state_dict(image.state_dict())
    sum(out.square().sum() for out in model(torch.randn(1, 3, 8, 16, 16))).backward()
    for name, parameter in model.named_parameters():
        if "cpb_mlp.0.weight" in name:
            assert parameter.grad[:, 0].abs().max() > 0, name


# Weights of videos


@pytest.mark.parametrize("bias", ["log_cpb", "table"])
def test_weights_of_videos_load_at_another_window(bias, trained_like, logs):
    source = trained_like(video([(3, 4, 5), 2], position_bias=bias))
    model = video((5, 6, 4), position_bias=bias)
    model.load_state_dict(source.state_dict())
    assert "inflated" not in "\n".join(logs)
    if bias == "log_cpb":
        assert model.pretrained_window_size == ((3, 4, 5), (2, 2, 2))
        for name, tensor in source.named_parameters():
            assert torch.equal(tensor, model.get_parameter(name))
    else:
        assert set(model.loaded.tables) == {
            f"layers.{i}.blocks.{j}.attn.relative_position_bias_table"
            for i in (0, 1)
            for j in (0, 1)
        }


def test_weights_of_videos_are_refused_by_an_image_backbone(image):
    before = {k: v.clone() for k, v in image.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"weights are of videos .*VideoSwin"):
        image.load_state_dict(video().state_dict())
    for name, tensor in image.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_another_number_of_frames_per_token_is_refused():
    with pytest.raises(RuntimeError, match="temporal_patch_size=2, the model 4"):
        video(temporal_patch_size=4).load_state_dict(video().state_dict())


def test_weights_of_another_size_are_refused_as_of_images(image):
    with pytest.raises(RuntimeError, match=r"the weights do not fit: .*depths"):
        video(depths=(2, 4)).load_state_dict(image.state_dict())


def test_windows_of_other_axes_than_the_weights_are_refused():
    weights = video().state_dict()
    weights["window_record"] = torch.full((2, 2, 2), 4)
    with pytest.raises(ValueError, match=r"expected for .* \(\(time, height, width\)"):
        video().load_state_dict(weights)


def test_safetensors_keep_the_windows_of_videos(trained_like, tmp_path):
    source = trained_like(video([(3, 4, 5), 2]))
    torch.save(source.state_dict(), tmp_path / "own.pth")
    weights = read_swin_weights(tmp_path / "own.pth")
    convert(weights, "mmswinv2").save(tmp_path / "own.safetensors")
    again = read_swin_weights(tmp_path / "own.safetensors")
    assert again.windows == [((3, 4, 5), (3, 4, 5)), ((2, 2, 2), (2, 2, 2))]
    with pytest.raises(ValueError, match="of videos, which no 'timm' model takes"):
        convert(weights, "timm")
