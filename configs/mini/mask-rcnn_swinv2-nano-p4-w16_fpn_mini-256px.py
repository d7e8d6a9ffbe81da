# High resolution: fine-tunes the 128 px run at 256 px with windows of 16, so that a
# window covers the same part of the picture as before.
_base_ = "./mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px.py"

load_from = "work_dirs/mask-rcnn_swinv2-nano-p4-w8_fpn_mini-128px/iter_300.pth"
scale = (256, 256)  # px, the pictures' size
model = dict(backbone=dict(window_size=16))

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = scale
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = scale
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=10),
    dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=10, end=100),
]
train_cfg = dict(max_iters=100, val_interval=100)
