"""A classifier of videos of three classes, and its data, for the tests of the tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from clips import write_clip

CLASSES = ("red", "green", "blue")
CONFIG = """
_base_ = [
    "mmswinv2::_base_/models/video_classifier_swinv2.py",
    "mmswinv2::_base_/default_runtime_video.py",
]
data_root = {root!r}
metainfo = dict(classes={classes!r})
model = dict(
    max_testing_views=2,
    data_preprocessor=dict(num_classes=3),
    backbone=dict(arch="nano", window_size=(2, 4, 4), depths=(1, 1, 1, 1)),
    head=dict(num_classes=3, in_channels=256),
)
sample = dict(type="mmswinv2.SampleFrames", clip_len=4, frame_interval=2)
decode = dict(type="mmswinv2.DecodeVideo")
pack = dict(type="mmswinv2.PackClip")
train_pipeline = [
    sample, decode, dict(type="mmswinv2.RandomResizedCropClip", size=32),
    dict(type="mmswinv2.FlipClip", prob=0.5), pack,
]
val_pipeline = [
    dict(sample, test_mode=True), decode,
    dict(type="mmswinv2.ResizeClip", short_side=36),
    dict(type="mmswinv2.CenterCropClip", size=32), pack,
]
test_pipeline = [
    dict(sample, num_clips=2, test_mode=True), decode,
    dict(type="mmswinv2.ResizeClip", short_side=32),
    dict(type="mmswinv2.SpatialCrops", size=32, number=3), pack,
]
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="mmswinv2.KineticsDataset", data_root=data_root, ann_file="train.txt",
        metainfo=metainfo, pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="mmswinv2.KineticsDataset", data_root=data_root, ann_file="val.txt",
        metainfo=metainfo, test_mode=True, pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(val_dataloader["dataset"], pipeline=test_pipeline),
)
val_evaluator = [
    dict(type="Accuracy", topk=(1, 2)),
    dict(type="SingleLabelMetric", items=["recall"]),
]
test_evaluator = val_evaluator
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
)
default_hooks = dict(logger=dict(interval=1))
"""


def write_videos(root: Path, *, prefixed: bool = True) -> Path:
    """Two videos of each class for training and two for validation, and their lists.

    Args:
        root (Path): Where they go.
        prefixed (bool): Whether paths in a list begin with its split. Defaults to True.

    Returns:
        Path: The same folder.
    """
    noise = np.random.default_rng(0)
    for split in ("train", "val"):
        lines = []
        for label, name in enumerate(CLASSES):
            for number in range(2):
                frames = noise.integers(0, 64, (10, 40, 56, 3), np.uint8)
                frames[..., label] += 160
                path = f"{name}/{number}.mp4"
                write_clip(root / split / path, frames)
                lines.append(f"{split}/" * prefixed + f"{path} {label}\n")
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def write_video_classifier(folder: Path, root: Path) -> Path:
    """The config in a folder, of videos as :func:`write_videos` makes them."""
    file = folder / "tiny-video.py"
    file.write_text(CONFIG.format(root=str(root), classes=CLASSES))
    return file
