# Clips: how a shape moves, from scratch, from 8 frames of 32 px, window 4 x 4 x 4:
# all of a clip's time, and half its height and width.
_base_ = [
    "../_base_/models/video_classifier_swinv2.py",
    "./_base_/schedule_300i.py",
    "../_base_/default_runtime_video.py",
]

model = dict(
    max_testing_views=64,
    data_preprocessor=dict(num_classes=8),
    backbone=dict(arch="nano", window_size=(4, 4, 4), drop_path_rate=0.0),
    head=dict(num_classes=8, in_channels=256, dropout=0.0),
)

data_root = "data/mini-clips"
size = 32  # px, half of the videos' height
sample = dict(type="mmswinv2.SampleFrames", clip_len=8, frame_interval=2)
train_pipeline = [
    sample,
    dict(type="mmswinv2.DecodeVideo"),
    # no flip: it would make "left" of "right", and of each turn the other
    dict(type="mmswinv2.RandomResizedCropClip", size=size, area=(0.7, 1.0)),
    dict(type="mmswinv2.PackClip"),
]
val_pipeline = [
    dict(sample, test_mode=True),
    dict(type="mmswinv2.DecodeVideo"),
    dict(type="mmswinv2.ResizeClip", short_side=size),
    dict(type="mmswinv2.CenterCropClip", size=size),
    dict(type="mmswinv2.PackClip"),
]
test_pipeline = [
    dict(sample, num_clips=2, test_mode=True),
    dict(type="mmswinv2.DecodeVideo"),
    dict(type="mmswinv2.ResizeClip", short_side=size),
    dict(type="mmswinv2.SpatialCrops", size=size, number=3),
    dict(type="mmswinv2.PackClip"),
]
classes = ["down", "grow", "left", "right", "shrink"]
classes += ["turn clockwise", "turn counterclockwise", "up"]
common = dict(
    type="mmswinv2.KineticsDataset",
    data_root=data_root,
    metainfo=dict(classes=classes),
)
train_dataloader = dict(
    batch_size=32,
    num_workers=0,  # the videos are small; a worker costs more than it saves
    persistent_workers=False,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        common, data_prefix="train", ann_file="train.txt", pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        common,
        data_prefix="val",
        ann_file="val.txt",
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=8,  # videos, with all views of each
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(val_dataloader["dataset"], pipeline=test_pipeline),
)
val_evaluator = dict(type="Accuracy", topk=(1,))
test_evaluator = val_evaluator

auto_scale_lr = dict(base_batch_size=32)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=80),
    dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=80, end=800),
]
train_cfg = dict(max_iters=800, val_interval=100)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1, save_best=None),
)
log_processor = dict(window_size=10, by_epoch=False)
