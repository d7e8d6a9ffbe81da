"""Clips of a video, from its file to the tensor of a model.

Between transforms a clip, or several after another, is ``imgs``, an array ``(N, H, W,
3)`` of uint8, RGB. What is drawn at random is drawn once for all frames.

Legend: V views, C channels, T frames of a view, N = V * T, H height and W width in px.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.structures import DataSample

from mmswinv2.registry import TRANSFORMS

from .reading import VideoReader
from .sampling import clip_indices, even_starts, random_starts

ATTEMPTS = 10  # to draw a crop that fits, as in mmaction2


def _check_positive(**numbers: Any) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name}={number!r}: expected a whole number from 1 on")


@TRANSFORMS.register_module()
class SampleFrames(BaseTransform):
    """Opens the video ``filename`` and chooses the frames of its clips.

    Frames count in the order in which they are shown. A video that is shorter than a
    clip begins again. Adds ``video``, ``total_frames`` and ``frame_inds`` ``(N,)``.

    Args:
        clip_len (int): Frames of a clip.
        frame_interval (int): From a frame of a clip to the next, in frames of the
            video. Defaults to 1.
        num_clips (int): Clips of a video, spread over it; for ``test_mode``. Defaults
            to 1, from its middle.
        test_mode (bool): Whether clips are always the same, and are views of a
            prediction; else one starts anywhere. Defaults to False.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        test_mode: bool = False,
    ) -> None:
        _check_positive(
            clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips
        )
        if num_clips > 1 and not test_mode:
            raise ValueError(
                f"num_clips={num_clips} are views of a prediction: set test_mode=True, "
                "or leave it out"
            )
        self.clip_len, self.frame_interval = clip_len, frame_interval
        self.num_clips, self.test_mode = num_clips, test_mode

    def transform(self, results: dict) -> dict:
        """Chooses frames of one video."""
        video = VideoReader(results["filename"])
        size = len(video), self.clip_len, self.frame_interval
        if self.test_mode:
            starts = even_starts(*size, self.num_clips)
        else:
            starts = random_starts(*size)
        results.update(
            video=video,
            total_frames=len(video),
            frame_inds=clip_indices(starts, *size).reshape(-1),
            clip_len=self.clip_len,
            views=self.test_mode,
        )
        return results


@TRANSFORMS.register_module()
class DecodeVideo(BaseTransform):
    """Decodes the frames that :class:`SampleFrames` chose, upright, as ``imgs``."""

    def transform(self, results: dict) -> dict:
        """Decodes those of one video."""
        results["imgs"] = results.pop("video").read(results["frame_inds"])
        results["ori_shape"] = results["imgs"].shape[1:3]
        return results


@TRANSFORMS.register_module()
class ResizeClip(BaseTransform):
    """Resizes frames, bilinear, until their shorter side is as wished.

    Args:
        short_side (int): In px. Defaults to 256.
    """

    def __init__(self, short_side: int = 256) -> None:
        _check_positive(short_side=short_side)
        self.short_side = short_side

    def transform(self, results: dict) -> dict:
        """Resizes the clips of one video."""
        height, width = results["imgs"].shape[1:3]
        size = mmcv.rescale_size((width, height), (math.inf, self.short_side))
        results["imgs"] = _resize(results["imgs"], size)
        return results


@TRANSFORMS.register_module()
class RandomResizedCropClip(BaseTransform):
    """Crops a part of random size, shape and place, and resizes it to a square.

    Args:
        size (int): Side of the square, in px. Defaults to 224.
        area (tuple[float, float]): Least and largest share of the frame's area.
            Defaults to (0.08, 1.0).
        ratio (tuple[float, float]): Least and largest width / height. Defaults to
            (3 / 4, 4 / 3).

    Raises:
        ValueError: If a range is none.
    """

    def __init__(
        self,
        size: int = 224,
        area: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        _check_positive(size=size)
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"area={area}: expected two shares up to 1, least first")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio={ratio}: expected two ratios, least first")
        self.size, self.area, self.ratio = size, area, ratio

    def transform(self, results: dict) -> dict:
        """Crops the clips of one video."""
        top, left, height, width = self.draw(*results["imgs"].shape[1:3])
        crop = results["imgs"][:, top : top + height, left : left + width]
        results["imgs"] = _resize(crop, (self.size, self.size))
        return results

    def draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a crop, in px; the middle if none fits."""
        least, most = np.log(self.ratio)
        ratios = np.exp(np.random.uniform(least, most, ATTEMPTS))
        areas = np.random.uniform(*self.area, ATTEMPTS) * height * width
        widths = np.round(np.sqrt(areas * ratios)).astype(int)
        heights = np.round(np.sqrt(areas / ratios)).astype(int)
        fits = (widths <= width) & (heights <= height)
        if not fits.any():
            side = min(height, width)
            return (height - side) // 2, (width - side) // 2, side, side
        first = fits.argmax()
        h, w = max(int(heights[first]), 1), max(int(widths[first]), 1)
        left = np.random.randint(width - w + 1)
        top = np.random.randint(height - h + 1)
        return top, left, h, w


@TRANSFORMS.register_module()
class CenterCropClip(BaseTransform):
    """Crops the middle square.

    Args:
        size (int): Side of the square, in px. Defaults to 224.

    Raises:
        ValueError: If a frame is smaller.
    """

    def __init__(self, size: int = 224) -> None:
        _check_positive(size=size)
        self.size = size

    def transform(self, results: dict) -> dict:
        """Crops the clips of one video."""
        height, width = results["imgs"].shape[1:3]
        if min(height, width) < self.size:
            raise ValueError(
                f"a frame of {width} x {height} px has no crop of {self.size} px: "
                f"write ResizeClip(short_side={self.size}) or more before"
            )
        top, left = (height - self.size) // 2, (width - self.size) // 2
        results["imgs"] = _crop(results["imgs"], top, left, self.size)
        return results


@TRANSFORMS.register_module()
class SpatialCrops(BaseTransform):
    """Crops squares along the longer side, each a view of a prediction.

    With 3, those of mmaction2's ``ThreeCrop``: first, last, middle. With 5, which
    papers name and none defines, at quarters of what the longer side has more. The
    views are in the order crop by crop, in each clip by clip.

    Args:
        size (int): Side of the squares, in px, which the shorter side must have.
        number (int): 1, 3 or 5. Defaults to 3.

    Raises:
        ValueError: If the number is another, or the shorter side of frames.
    """

    def __init__(self, size: int, number: int = 3) -> None:
        _check_positive(size=size)
        if number not in (1, 3, 5):
            raise ValueError(f"number={number!r}: expected 1, 3 or 5 crops")
        self.size, self.number = size, number

    def transform(self, results: dict) -> dict:
        """Crops the clips of one video."""
        imgs = results["imgs"]
        height, width = imgs.shape[1:3]
        if min(height, width) != self.size:
            raise ValueError(
                f"crops of {self.size} px from frames of {width} x {height} px: write "
                f"ResizeClip(short_side={self.size}) before SpatialCrops"
            )
        offsets = self.offsets(max(height, width) - self.size)
        corners = [(0, at) if width >= height else (at, 0) for at in offsets]
        crops = [_crop(imgs, top, left, self.size) for top, left in corners]
        results["imgs"] = np.concatenate(crops) if len(crops) > 1 else crops[0]
        results["views"] = True
        return results

    def offsets(self, more: int) -> list[int]:
        """Where crops begin on a side that is longer than they are by ``more`` px."""
        if self.number == 5:
            return [k * more // 4 for k in range(5)]
        middle = more // 2
        return [0, 2 * middle, middle] if self.number == 3 else [middle]


@TRANSFORMS.register_module()
class FlipClip(BaseTransform):
    """Mirrors left and right, all frames or none.

    Args:
        prob (float): How often. Defaults to 0.5.

    Raises:
        ValueError: If it is no probability.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"prob={prob}: expected a number from 0 to 1")
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Mirrors the clips of one video."""
        if np.random.rand() < self.prob:
            results["imgs"] = results["imgs"][:, :, ::-1]
        return results


@TRANSFORMS.register_module()
class PackClip(BaseTransform):
    """Makes what a model takes.

    Gives ``inputs`` of uint8, RGB, ``(C, T, H, W)``, or ``(V, C, T, H, W)`` where the
    pipeline made views: in ``test_mode``, or by :class:`SpatialCrops`, one view too;
    and ``data_samples``, a ``DataSample`` of mmpretrain with the label, if there is
    one.
    """

    def transform(self, results: dict) -> dict:
        """Packs one video."""
        imgs = results["imgs"]
        length, (height, width) = results["clip_len"], imgs.shape[1:3]
        views = len(imgs) // length
        inputs = np.empty((views, 3, length, height, width), np.uint8)
        for view, planes in zip(imgs.reshape(views, -1, width, 3), inputs):
            # four times as fast as numpy's transposition
            cv2.split(np.ascontiguousarray(view), [*planes.reshape(3, -1, width)])
        sample = DataSample(
            metainfo=dict(
                sample_idx=results.get("sample_idx"),
                img_path=results["filename"],  # by which hooks name a sample
                filename=results["filename"],
                total_frames=results["total_frames"],
                ori_shape=results["ori_shape"],
                img_shape=(height, width),
            )
        )
        if results.get("gt_label") is not None:
            sample.set_gt_label(results["gt_label"])
        tensor = torch.from_numpy(inputs if results["views"] else inputs[0])
        return dict(inputs=tensor, data_samples=sample)


def _resize(imgs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames at another (width, height), bilinear."""
    width, height = size
    if imgs.shape[1:3] == (height, width):
        return imgs
    resized = np.empty((len(imgs), height, width, 3), np.uint8)
    for frame, out in zip(imgs, resized):
        mmcv.imresize(frame, size, out=out, backend="cv2")
    return resized


def _crop(imgs: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return imgs[:, top : top + size, left : left + size]
