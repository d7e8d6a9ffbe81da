"""The backbone of videos: maps of any size, windows in time, training."""

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS

from mmswinv2.models import SwinTransformerV2
from mmswinv2.models.window_transfer import stage_transfers
from mmswinv2.video.backbone import VideoSwinTransformerV2

SMALL = dict(embed_dims=16, depths=(2, 2), num_heads=(1, 2), out_indices=(0, 1))


def build(**options):
    return VideoSwinTransformerV2(**{**SMALL, "window_size": (4, 4, 4), **options})


@pytest.fixture
def twins(trained_like):
    """Builds models that differ in options, not in weights."""

    def make(*options):
        return [trained_like(build(**option)) for option in options]

    return make


# Maps


@pytest.mark.parametrize("fit", ["shrink", "pad", "divide"])
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 33, 3), (5, 16, 16), (16, 30, 41)])
def test_takes_clips_of_any_size(size, fit):
    model = build(window_size=[(3, 4, 6), (8, 2, 3)], window_fit=fit)
    for i, out in enumerate(model(torch.rand(2, 3, *size))):
        strides = (2, 4 * 2**i, 4 * 2**i)
        expected = [-(-length // stride) for length, stride in zip(size, strides)]
        assert out.shape == (2, 16 * 2**i, *expected)
        assert out.isfinite().all()
        assert out.is_contiguous()


@pytest.mark.parametrize("attention", ["sdpa", "chunked"])
@pytest.mark.parametrize("fit", ["shrink", "pad"])
def test_every_implementation_of_attention_equals_the_reference(attention, fit, twins):
    clip = torch.randn(2, 3, 13, 40, 27)
    options = dict(window_size=[(3, 4, 5), (4, 2, 3)], window_fit=fit)
    with torch.no_grad():
        expected, given = (
            model(clip)
            for model in twins(
                dict(attention="reference", **options),
                dict(attention=attention, **options),
            )
        )
    for out, truth in zip(given, expected, strict=True):
        torch.testing.assert_close(out, truth, rtol=0, atol=1e-4)


@pytest.mark.parametrize("bias", ["log_cpb", "linear_cpb", "table"])
def test_windows_of_one_token_in_time_are_the_image_backbone(bias, trained_like):
    """Frame by frame, with the same weights and none for time."""
    options = dict(SMALL, position_bias=bias)
    image = trained_like(SwinTransformerV2(window_size=[(4, 3)] * 2, **options))
    video = build(window_size=(1, 4, 3), temporal_patch_size=1, position_bias=bias)
    video.load_state_dict(image.state_dict())
    clip = torch.randn(2, 3, 3, 44, 37)
    with torch.no_grad():
        maps = video.eval()(clip)
        frames = [image(clip[:, :, t]) for t in range(3)]
    for i, out in enumerate(maps):
        expected = torch.stack([frame[i] for frame in frames], 2)
        torch.testing.assert_close(out, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", [(6, 24, 12), (5, 9, 24), (16, 16, 30)])
def test_padding_to_a_window_changes_no_token(size, twins):
    clip = torch.randn(1, 3, *size)
    options = [dict(window_size=8, window_fit=fit) for fit in ("pad", "shrink")]
    for padded, shrunk in zip(*(model(clip) for model in twins(*options)), strict=True):
        torch.testing.assert_close(padded, shrunk, rtol=0, atol=1e-4)


def test_a_shrunk_window_equals_a_window_of_that_size(twins):
    """A clip of 3 tokens under window 8, with the bias of window 8."""
    clip = torch.randn(1, 3, 6, 40, 40)
    shrunk, exact = twins(
        dict(window_size=(8, 4, 4)),
        dict(window_size=(3, 4, 4), pretrained_window_size=(8, 4, 4)),
    )
    for out, expected in zip(shrunk(clip), exact(clip), strict=True):
        assert torch.equal(out, expected)


@pytest.mark.parametrize("frames", [18, 22, 24, 31])
def test_the_end_of_a_clip_never_sees_its_beginning(frames, twins):
    """Windows of 4 tokens, shifted by 2: the first token reaches the sixth at most."""
    (model,) = twins(dict(out_indices=(0,)))
    clip = torch.randn(1, 3, frames, 16, 16)
    changed = clip.clone()
    changed[:, :, :2] += 1
    difference = (model(clip)[0] - model(changed)[0]).abs().amax((0, 1, 3, 4))
    assert difference[:6].min() > 0 and difference[6:].max() == 0


def test_time_is_told_apart(twins):
    """A clip played backwards has other features than those of the clip, reversed."""
    (model,) = twins(dict(window_size=8))
    clip = torch.randn(1, 3, 16, 16, 16)
    assert (model(clip.flip(2))[1] - model(clip)[1].flip(2)).abs().max() > 0.1


# Windows


def test_another_window_keeps_the_bias_of_known_offsets(twins):
    (source,) = twins(dict(window_size=(4, 4, 4)))
    other = build(window_size=[(6, 8, 3), (2, 5, 5)])
    other.load_state_dict(source.state_dict())
    assert other.pretrained_window_size == ((4, 4, 4),) * 2
    source.set_window_size([(6, 8, 3), (2, 5, 5)])
    assert torch.equal(source.window_record, other.window_record)
    assert other.window_record.shape == (2, 2, 3)
    clip = torch.randn(1, 3, 16, 40, 40)
    assert torch.equal(source(clip)[1], other.eval()(clip)[1])
    for stage in stage_transfers(other):
        assert stage.before == (4, 4, 4) and stage.max_change < 1e-5
        assert stage.bias_after.shape[1:] == tuple(2 * n - 1 for n in stage.after)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (4, [(4, 4, 4)] * 2),
        ((8, 7, 6), [(8, 7, 6)] * 2),
        ([8, (2, 3, 4)], [(8, 8, 8), (2, 3, 4)]),
    ],
)
def test_windows_are_an_int_a_triple_or_one_of_these_per_stage(window, expected):
    assert build(window_size=window).window_size == tuple(expected)


def test_windows_are_chosen_for_a_budget(logs):
    clips = dict(image_size=(16, 128, 160), slowdown=1.5)
    model = build(window_size="auto", auto_windows=clips)
    time, height, width = model.window_size[0]
    assert time == 8 and 32 % height == 40 % width == 0
    assert "window_size='auto' for images of 16 x 128 x 160" in "\n".join(logs)


# Training


@pytest.mark.parametrize("checkpoint", ["block", "mlp"])
def test_recomputation_keeps_gradients(checkpoint, twins):
    clip = torch.randn(1, 3, 8, 24, 24)
    grads = []
    for model in twins({}, dict(with_cp=True, checkpoint=checkpoint)):
        sum(out.square().sum() for out in model(clip)).backward()
        grads.append([p.grad for p in model.parameters()])
    for grad, expected in zip(*grads, strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_has_finite_outputs_and_gradients(dtype, twins):
    (model,) = twins(dict(window_size=(3, 4, 5)))
    with torch.autocast("cpu", dtype):
        maps = model.train()(torch.randn(1, 3, 7, 28, 31))
    (1024 * sum(out.float().square().mean() for out in maps)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_stages_are_frozen_and_layers_counted_as_of_images():
    model = build(frozen_stages=1).train()
    trained = {n.split(".b")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {"layers.1", "norm1.weight", "norm1"}
    assert model.get_layer_depth("patch_embed.proj.weight") == (0, 6)
    assert model.get_layer_depth("backbone.layers.1.blocks.1.mlp.fc1.bias", "backbone.")
    assert "layers.0.blocks.0.attn.cpb_mlp.0.weight" in model.no_weight_decay()
    assert "patch_embed.proj.weight" not in model.no_weight_decay()


def test_every_block_starts_as_the_identity():
    model = build(extra_norm_every_n_blocks=0)
    model.init_weights()
    tokens = torch.randn(1, 4, 8, 8, 16)
    assert torch.equal(model.layers[0](tokens), tokens)


def test_a_compiler_takes_it_whole_and_an_exporter_other_lengths(twins):
    torch.compiler.reset()
    (model,) = twins(dict(out_indices=(0,)))
    clips = [torch.randn(1, 3, frames, 32, 32) for frames in (16, 24)]
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    frames = {2: 8 * torch.export.Dim("windows", min=2, max=8)}
    exported = torch.export.export(model, (clips[0],), dynamic_shapes=[frames])
    traced = torch.jit.trace(model, clips[0], check_trace=False)
    with torch.no_grad():
        for run, clip in ((compiled, 0), (exported.module(), 1), (traced, 0)):
            pairs = zip(run(clips[clip]), model(clips[clip]), strict=True)
            for out, expected in pairs:
                torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)


# What is refused


def test_builds_by_its_scoped_name():
    cfg = dict(type="mmswinv2.VideoSwinTransformerV2", arch="nano")
    assert isinstance(MMDET_MODELS.build(cfg), VideoSwinTransformerV2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(window_size=(8, 7, 7, 7)), r"a \(time, height, width\) triple, or 2 of"),
        (dict(window_size=[(8, 7), (8, 7)]), r"a \(time, height, width\) triple"),
        (dict(pretrained_window_size=(0, 7, 7)), "pretrained_window_size=.*triple"),
        (dict(window_size="auto"), r"of clips image_size is \(frames, height, width\)"),
        (dict(temporal_patch_size=0), "temporal_patch_size=0: expected the frames"),
    ],
)
def test_bad_arguments_are_named_with_what_is_expected(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (3, 8, 32, 32), (1, 2, 3, 8, 8, 8)])
def test_what_is_no_clip_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected clips \(batch, channels, frames"):
        build()(torch.rand(shape))
