# Low resolution: UPerNet from scratch on the mini data at 128 px, window 8.
_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k.py",
    "./_base_/schedule_300i.py",
    "../_base_/default_runtime_seg.py",
]

scale = (128, 128)  # px, half of the pictures' size
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(size=scale),
    backbone=dict(arch="nano", drop_path_rate=0.0),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        channels=64,
        dropout_ratio=0.0,
        norm_cfg=norm_cfg,
        # the small objects are few pixels: train on those that are still wrong
        sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=2000),
    ),
    auxiliary_head=None,  # it would take a third of a step's time at this size
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))

data_root = "data/mini/ade/ADEChallengeData2016"
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = scale
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [
    dict(type="Resize", ratio=ratio, keep_ratio=True) for ratio in (1.0, 1.25)
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,  # the pictures are small; a worker costs more than it saves
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=50, max_keep_ckpts=1, save_best=None),
)
log_processor = dict(window_size=10, by_epoch=False)
