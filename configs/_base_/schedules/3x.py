# 36 epochs: "3x", AdamW, lr 1e-4, weight decay 0.05, batch 16 (paper, appendix A1).
_base_ = "./adamw.py"

optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    # Warm-up and milestones as in Swin V1's 3x; the paper states neither
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(
        type="MultiStepLR",
        by_epoch=True,
        begin=0,
        end=36,
        milestones=[27, 33],
        gamma=0.1,
    ),
]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=36, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
