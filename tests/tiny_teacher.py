"""A teacher of one convolution, and a student for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmswinv2.pretraining.teachers import Teacher
from mmswinv2.registry import MODELS

HEIGHT, WIDTH = 64, 96  # px of pictures


@MODELS.register_module(force=True)
class TinyTeacher(Teacher):
    """24 channels of pictures of 64 px, or of any.

    Args:
        stride (int): Of its map in px. Defaults to 16.
        scale (float): Factor of its features. Defaults to 1.
        only (int, optional): Side of the pictures that it takes. Defaults to None: any.
        gives (str): 'map', or 'vector', which is none. Defaults to 'map'.
    """

    def __init__(
        self,
        stride: int = 16,
        scale: float = 1.0,
        only: int | None = None,
        gives: str = "map",
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            convolution = nn.Conv2d(3, 24, stride, stride)
        super().__init__(
            convolution,
            kind="test",
            name="tiny",
            input_size=(64, 64),
            channels=24,
            num_classes=None,
        )
        self.factor, self.only, self.gives = scale, only, gives
        self.seen: list[tuple[int, int]] = []
        self.dtypes: list[torch.dtype] = []

    def _features(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape[2:]))
        if self.only and set(images.shape[2:]) != {self.only}:
            raise AssertionError(f"the height is not {self.only}")
        features = self.model(images)
        self.dtypes.append(features.dtype)
        features = features * self.factor
        return features if self.gives == "map" else features.mean((2, 3))

    def _logits(self, images: Tensor) -> Tensor:
        self._refuse_logits("it is tiny")


def distillation(teacher: dict | None = None, **options: object) -> dict:
    """Config of a model that learns from it."""
    return (
        dict(
            type="mmswinv2.FeatureDistillation",
            data_preprocessor=dict(
                type="SelfSupDataPreprocessor",
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                to_rgb=True,
            ),
            backbone=dict(
                type="mmswinv2.SwinTransformerV2",
                arch="nano",
                depths=(1, 1, 2, 1),
                window_size=4,
                out_indices=(3,),
                drop_path_rate=0.0,
            ),
            neck=dict(type="mmswinv2.FeatureProjection", in_channels=256),
            teacher=dict(type="mmswinv2.TinyTeacher", **(teacher or {})),
        )
        | options
    )
