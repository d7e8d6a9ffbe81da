# SimMIM of 'nano' at 128 px, window 8, for a CPU. Mask and target as the official
# config has them; schedule and rate are tuned for 2000 pictures, not the official ones.
_base_ = "../../configs/simmim/simmim_swinv2-b-p4-w12_16xb128-800e_in1k-192px.py"

model = dict(
    backbone=dict(arch="nano", window_size=8, drop_path_rate=0.0),
    neck=dict(in_channels=256),
)
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 128  # px
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, end=2, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=2, end=40, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=40)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=5))
