"""SimMIM's parts: masks, the masked backbone, the normalised target, the loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmswinv2.engine.layer_decay import LayerDecayOptimWrapperConstructor
from mmswinv2.models import SwinTransformerV2
from mmswinv2.pretraining import RandomPatchMask, SimMIMHead, SimMIMSwinV2
from mmswinv2.pretraining.norm_target import local_statistics

TINY = dict(embed_dims=16, depths=(2, 2), num_heads=(1, 2), out_indices=(1,))
HEIGHT, WIDTH = 64, 96  # px


@pytest.fixture
def backbone(trained_like: Callable[[nn.Module], nn.Module]) -> SimMIMSwinV2:
    torch.compiler.reset()
    return trained_like(SimMIMSwinV2(**TINY, window_size=4, drop_path_rate=0.0))


@pytest.fixture
def mask() -> Tensor:
    """Of two pictures, half of their squares of 32 px."""
    squares = torch.tensor([[[1, 0, 1], [0, 1, 0]], [[0, 0, 1], [1, 1, 0]]])
    return squares.repeat_interleave(8, 1).repeat_interleave(8, 2).to(torch.uint8)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def pixels(mask: Tensor) -> Tensor:
    """A mask of tokens as one of pixels, ``(B, 1, H, W)``."""
    return mask.repeat_interleave(4, 1).repeat_interleave(4, 2).bool().unsqueeze(1)


# Masks


@pytest.mark.parametrize(
    ("shape", "size", "ratio"),
    [((192, 192), 32, 0.6), ((64, 224), 32, 0.6), ((96, 48), 16, 0.25), ((8, 8), 8, 1)],
)
def test_a_mask_hides_its_share_of_whole_squares(
    shape: tuple[int, int], size: int, ratio: float
) -> None:
    """Rounded up, as the official code; others in the next picture."""
    transform = RandomPatchMask(mask_patch_size=size, mask_ratio=ratio)
    np.random.seed(0)
    masks = [transform(dict(img=np.zeros((*shape, 3))))["mask"] for _ in range(2)]
    assert masks[0].shape == (shape[0] // 4, shape[1] // 4)
    squares = masks[0][:: size // 4, :: size // 4]
    assert squares.sum() == math.ceil(ratio * squares.size)
    tokens = np.ones((size // 4, size // 4))
    assert (masks[0] == np.kron(squares, tokens)).all()
    assert ratio == 1 or (masks[0] != masks[1]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(mask_patch_size=30), "expected a multiple of 4 px"),
        (dict(mask_ratio=0), "expected a share above 0 and up to 1"),
        (dict(mask_ratio=60), "expected a share above 0 and up to 1"),
        (dict(mask_patch_size=48), r"divide a picture of 96 x 64 px.*such as 48 px"),
    ],
)
def test_masks_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomPatchMask(**options)(dict(img=np.zeros((HEIGHT, WIDTH, 3))))


# The backbone


def test_what_is_masked_is_never_seen(
    backbone: SimMIMSwinV2, images: Tensor, mask: Tensor
) -> None:
    """Not even NaN; what is visible is seen, and a mask of nothing hides nothing."""
    (out,) = backbone(images, mask)
    (other,) = backbone(images.masked_fill(pixels(mask), math.nan), mask)
    assert torch.equal(out, other)
    (other,) = backbone(images.masked_fill(~pixels(mask), 0), mask)
    assert (out - other).abs().amin((0, 2, 3)).max() > 1e-3
    (plain,) = backbone(images)
    assert torch.equal(backbone(images, torch.zeros_like(mask))[0], plain)
    bare = SwinTransformerV2(**TINY, window_size=4)
    bare.load_state_dict(backbone.state_dict(), strict=False)
    assert torch.equal(bare.eval()(images)[0], plain)


def test_a_mask_of_another_size_is_refused(
    backbone: SimMIMSwinV2, images: Tensor, mask: Tensor
) -> None:
    with pytest.raises(ValueError, match=r"\(2, 16, 23\), but images of \(64, 96\) px"):
        backbone(images, mask[..., :-1])


def test_compiled_and_exported(
    backbone: SimMIMSwinV2, images: Tensor, mask: Tensor
) -> None:
    """One graph, without a break, with the eager features and gradients."""
    (expected,) = backbone(images, mask)
    exported = torch.export.export(backbone, (images, mask))
    torch.testing.assert_close(exported.module()(images, mask)[0], expected)
    expected.square().sum().backward()
    token = backbone.mask_token.grad.clone()
    backbone.zero_grad()
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    (out,) = compiled(images, mask)
    torch.testing.assert_close(out, expected)
    out.square().sum().backward()
    torch.testing.assert_close(backbone.mask_token.grad, token, rtol=1e-4, atol=1e-4)


def test_recomputed_blocks_have_the_same_gradients(
    backbone: SimMIMSwinV2, images: Tensor, mask: Tensor
) -> None:
    again = SimMIMSwinV2(**TINY, window_size=4, drop_path_rate=0.0, with_cp=True)
    again.load_state_dict(backbone.state_dict())
    for model in (backbone, again):
        model.train()(images, mask)[0].square().sum().backward()
    for one, other in zip(backbone.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_autocast_takes_the_token_in_its_own_precision(
    backbone: SimMIMSwinV2, images: Tensor, mask: Tensor
) -> None:
    (expected,) = backbone(images, mask)
    with torch.autocast("cpu", torch.bfloat16):
        (out,) = backbone(images, mask)
    assert 0 < (out - expected).norm() < 0.05 * expected.norm()
    out.float().sum().backward()
    assert backbone.mask_token.grad.isfinite().all()


def test_the_token_is_the_first_layer_and_does_not_decay() -> None:
    backbone = SimMIMSwinV2("nano", frozen_stages=1)
    assert backbone.get_layer_depth("backbone.mask_token", "backbone.") == (0, 12)
    assert "mask_token" in backbone.no_weight_decay()
    assert backbone.mask_token.requires_grad  # whatever is frozen
    assert not any(p.requires_grad for p in backbone.patch_embed.parameters())
    wrapper = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1)),
        dict(layer_decay_rate=0.5),
    )(backbone)
    (group,) = (
        group
        for group in wrapper.optimizer.param_groups
        if any(p is backbone.mask_token for p in group["params"])
    )
    assert (group["lr"], group["weight_decay"]) == (0.5**11, 0)


# The target and the loss


def brute_force(image: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the window around each pixel, one after the other."""
    mean, deviation = torch.empty_like(image), torch.empty_like(image)
    half = size // 2
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            rows = slice(max(y - half, 0), y + half + 1)
            columns = slice(max(x - half, 0), x + half + 1)
            window = image[:, rows, columns].flatten(1)
            mean[:, y, x] = window.mean(1)
            deviation[:, y, x] = (window.var(1, unbiased=True) + 1e-6).sqrt()
    return mean, deviation


@pytest.mark.parametrize("size", [3, 7, 47])
@pytest.mark.parametrize("shape", [(12, 12), (9, 16)])
def test_statistics_of_every_window(size: int, shape: tuple[int, int]) -> None:
    """Edges have fewer pixels; a window larger than the picture has all."""
    generator = torch.Generator().manual_seed(size)
    images = torch.randn(2, 3, *shape, dtype=torch.float64, generator=generator)
    images[0, :, :5] = 2.25  # of one colour: its deviation is that of the epsilon
    mean, deviation = local_statistics(images, size)
    for i in range(2):
        expected = brute_force(images[i], size)
        torch.testing.assert_close(mean[i], expected[0].float())
        torch.testing.assert_close(deviation[i], expected[1].float())


@pytest.mark.parametrize("norm_target_size", [None, 11])
def test_the_loss_is_the_mean_over_masked_pixels(
    images: Tensor, mask: Tensor, norm_target_size: int | None
) -> None:
    """And what is drawn is the inverse of the target."""
    init_default_scope("mmpretrain")
    head = SimMIMHead(norm_target_size)
    images, mask = images[:1, :, :32, :32], mask[:1, :8, :8].clone()
    mask[:, 3:] = 0
    target = images
    if norm_target_size:
        mean, deviation = brute_force(images[0], norm_target_size)
        target = ((images[0] - mean) / deviation)[None]
    predicted = target + torch.randn(images.shape)
    torch.testing.assert_close(head.reconstruct(target, images), images)

    total, count = 0.0, 0
    for y in range(32):
        for x in range(32):
            if mask[0, y // 4, x // 4]:
                total += (predicted - target)[0, :, y, x].abs().sum()
                count += 3
    loss = head.loss(predicted, images, mask)
    torch.testing.assert_close(loss, total / count)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(head.loss(predicted, images, mask), loss)
    for dtype in (torch.float16, torch.bfloat16):
        rounded = head.loss(predicted.to(dtype), images, mask)
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, loss, rtol=0.01, atol=0)


@pytest.mark.parametrize("size", [1, 46, -3])
def test_a_window_of_no_centre_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"norm_target_size={size}: expected an odd"):
        SimMIMHead(size)


def test_the_whole_model_starts_as_the_identity() -> None:
    """SimMIM of mmpretrain leaves the norms of branches at zero."""
    init_default_scope("mmpretrain")
    model = MODELS.build(
        dict(
            type="SimMIM",
            backbone=dict(type="mmswinv2.SimMIMSwinV2", arch="nano"),
            neck=dict(type="SimMIMLinearDecoder", in_channels=256, encoder_stride=32),
            head=dict(type="mmswinv2.SimMIMHead", norm_target_size=47),
        )
    )
    model.init_weights()
    for name, parameter in model.named_parameters():
        if ".blocks." in name and ".norm" in name:
            assert not parameter.any(), name
    assert model.backbone.norm3.weight.eq(1).all()
    token = model.backbone.mask_token
    assert 0.005 < token.std() < 0.04
    assert isinstance(model.backbone, SwinTransformerV2)
