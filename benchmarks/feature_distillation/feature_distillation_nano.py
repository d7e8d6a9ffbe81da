# Feature Distillation into nano at 128 px, window 8, for a CPU. Loss and target as the
# official config has them; rate and length are those of benchmarks/simmim, not tuned.
_base_ = (
    "../../configs/feature_distillation/"
    "fd-swinv2-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px.py"
)

model = dict(
    backbone=dict(arch="nano", window_size=8, drop_path_rate=0.0),
    neck=dict(in_channels=256),
    # run.py chooses
    teacher=dict(
        config="benchmarks/simmim/simmim_nano.py",
        weights="work_dirs/simmim/simmim/epoch_40.pth",
    ),
)
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=128, backend="cv2", interpolation="area")  # a third of
# Pillow's time, which would be most of a step's
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=1, end=20, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=20)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=5))
