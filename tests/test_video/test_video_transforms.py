"""Clips: crops against formulas written out, views in their order, one draw for all."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import counting_frames, write_clip
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS

import mmswinv2.video  # noqa: F401
from mmswinv2.video.reading import VideoReader

TEST = dict(test_mode=True)


def build(kind: str, **options: object) -> object:
    return TRANSFORMS.build(dict(type=f"mmswinv2.{kind}", **options))


def apply(kind: str, imgs: np.ndarray, **options: object) -> np.ndarray:
    return build(kind, **options)(dict(imgs=imgs))["imgs"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", 40)


@pytest.mark.parametrize(("height", "width"), [(32, 77), (77, 32), (32, 32)])
def test_three_crops_are_first_last_and_middle(height: int, width: int) -> None:
    imgs = counting_frames(2, height, width)
    crops = apply("SpatialCrops", imgs, size=32, number=3).reshape(3, 2, 32, 32, 3)
    step = (max(height, width) - 32) // 2
    for crop, start in zip(crops, (0, 2 * step, step)):
        x, y = (start, 0) if width >= height else (0, start)
        assert np.array_equal(crop, imgs[:, y : y + 32, x : x + 32])


def test_five_crops_begin_at_quarters_of_the_rest() -> None:
    imgs = counting_frames(1, 32, 79)
    crops = apply("SpatialCrops", imgs, size=32, number=5)
    for crop, left in zip(crops, (0, 11, 23, 35, 47)):
        assert np.array_equal(crop, imgs[0, :, left : left + 32])


def test_centre_crop_and_resize_are_opencvs() -> None:
    imgs = counting_frames(2, 45, 71)
    assert np.array_equal(apply("CenterCropClip", imgs, size=32), imgs[:, 6:38, 19:51])
    resized = apply("ResizeClip", imgs, short_side=30)
    assert resized.shape == (2, 30, 47, 3)
    assert np.array_equal(resized[1], cv2.resize(imgs[1], (47, 30)))


def test_random_crops_are_of_the_sizes_and_shapes_asked_for() -> None:
    np.random.seed(0)
    crop = build("RandomResizedCropClip", area=(0.2, 0.5), ratio=(0.5, 2))
    drawn = np.array([crop.draw(200, 300) for _ in range(500)])
    top, left, height, width = drawn.T
    assert (top >= 0).all() and (top + height <= 200).all()
    assert (left >= 0).all() and (left + width <= 300).all()
    area, ratio = height * width / 60_000, width / height
    assert 0.19 < area.min() < 0.22 and 0.47 < area.max() < 0.51
    assert 0.49 < ratio.min() < 0.55 and 1.8 < ratio.max() < 2.03
    assert np.abs(np.log(ratio).mean()) < 0.1  # as many upright as lying
    assert top.std() > 10 and left.std() > 10


def test_a_crop_that_never_fits_is_the_middle() -> None:
    crop = build("RandomResizedCropClip", area=(1, 1), ratio=(1, 1))
    assert crop.draw(40, 100) == (0, 30, 40, 40)


def test_all_frames_of_a_clip_are_cropped_and_mirrored_alike() -> None:
    imgs = np.repeat(counting_frames(1), 5, axis=0)
    np.random.seed(0)
    crops = apply("RandomResizedCropClip", imgs, size=16)
    assert (crops == crops[0]).all() and not np.array_equal(crops[0], imgs[0])
    mirrored = [apply("FlipClip", imgs, prob=0.5) for _ in range(20)]
    kinds = [(m == imgs).all() + 2 * (m == imgs[:, :, ::-1]).all() for m in mirrored]
    assert {*map(int, kinds)} == {1, 2}


def test_views_are_crop_by_crop_and_clip_by_clip(clip: Path) -> None:
    """Of the whole chain, from a file to (V, C, T, H, W)."""
    chain = [
        build(
            "SampleFrames", clip_len=4, frame_interval=3, num_clips=2, test_mode=True
        ),
        build("DecodeVideo"),
        build("ResizeClip", short_side=32),
        build("SpatialCrops", size=32, number=3),
        build("PackClip"),
    ]
    packed = Compose(chain)(dict(filename=str(clip), gt_label=3, sample_idx=7))
    assert packed["inputs"].shape == (6, 3, 4, 32, 32)
    assert packed["inputs"].dtype == torch.uint8
    sample = packed["data_samples"]
    assert sample.gt_label.tolist() == [3]
    assert sample.img_path == str(clip) and sample.sample_idx == 7
    frames = VideoReader(str(clip)).read([30, 33, 36, 39])  # the second clip
    resized = np.stack([cv2.resize(frame, (43, 32)) for frame in frames])
    for view, left in zip((1, 3, 5), (0, 10, 5)):
        wanted = resized[:, :, left : left + 32].transpose(3, 0, 1, 2)
        assert np.array_equal(packed["inputs"][view].numpy(), wanted)


@pytest.mark.parametrize(("test_mode", "shape"), [(False, (3, 4)), (True, (1, 3, 4))])
def test_only_tests_have_views(test_mode: bool, shape: tuple, clip: Path) -> None:
    chain = [
        build("SampleFrames", clip_len=4, test_mode=test_mode),
        build("DecodeVideo"),
        build("FlipClip", prob=1.0),
        build("CenterCropClip", size=32),
        build("PackClip"),
    ]
    packed = Compose(chain)(dict(filename=str(clip)))
    assert packed["inputs"].shape == (*shape, 32, 32)
    assert "gt_label" not in packed["data_samples"]


def test_draws_follow_from_numpys_seed(clip: Path) -> None:
    chain = Compose(
        [
            build("SampleFrames", clip_len=4),
            build("DecodeVideo"),
            build("RandomResizedCropClip", size=16),
            build("FlipClip"),
            build("PackClip"),
        ]
    )

    def draw(seed: int) -> torch.Tensor:
        np.random.seed(seed)
        return chain(dict(filename=str(clip)))["inputs"]

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("SampleFrames", dict(clip_len=0), "clip_len=0: expected a whole number"),
        ("SampleFrames", dict(clip_len=8, num_clips=4), "set test_mode=True"),
        ("SpatialCrops", dict(size=32, number=4), "number=4: expected 1, 3 or 5"),
        ("RandomResizedCropClip", dict(area=(0.5, 2)), "expected two shares"),
        ("RandomResizedCropClip", dict(ratio=(2, 1)), "expected two ratios"),
        ("FlipClip", dict(prob=2), "expected a number from 0 to 1"),
        ("ResizeClip", dict(short_side=25.6), "expected a whole number"),
    ],
)
def test_settings_out_of_range_are_refused(
    kind: str, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(kind, **options)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("CenterCropClip", r"ResizeClip\(short_side=50\) or more before"),
        ("SpatialCrops", r"ResizeClip\(short_side=50\) before SpatialCrops"),
    ],
)
def test_crops_larger_than_frames_are_refused(kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(kind, counting_frames(1, 48, 64), size=50)
