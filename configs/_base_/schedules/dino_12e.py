# DINO, 12 epochs: AdamW, lr 1e-4 and a tenth of it for the backbone, weight decay 1e-4,
# gradients clipped at 0.1, a tenth of the rate in the last epoch (its paper's recipe).
_base_ = "./adamw.py"

optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=12, milestones=[11], gamma=0.1)
]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
