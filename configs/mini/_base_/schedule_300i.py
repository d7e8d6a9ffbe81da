# 300 iterations from scratch: AdamW, cosine decay. The learning rate is ten times that
# of the large models, since the model is small and nothing is pre-trained.
_base_ = "../../_base_/schedules/adamw.py"

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0, norm_type=2))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", eta_min=1e-5, by_epoch=False, begin=30, end=300),
]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=300, val_interval=300)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
