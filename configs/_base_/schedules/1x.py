# 12 epochs, as Swin V1's Mask R-CNN 1x. Swin V2's paper has no 1x run.
_base_ = "./adamw.py"

optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    # 1000 iterations as in MMDetection's Swin V1 configs; the paper states no warm-up
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(
        type="MultiStepLR",
        by_epoch=True,
        begin=0,
        end=12,
        milestones=[8, 11],
        gamma=0.1,
    ),
]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
