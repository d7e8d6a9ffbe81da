# HTC++ with G: 45000 iterations, lr 6e-4, weight decay 0.05, batch 96 (paper, appendix
# A1). It states neither warm-up nor shape: those of 3x, at the same shares of the run;
# and the backbone's tenth of the rate only for B and L.
_base_ = "./adamw.py"

optim_wrapper = dict(
    optimizer=dict(lr=6e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=45000,
        milestones=[33750, 41250],
        gamma=0.1,
    ),
]
auto_scale_lr = dict(base_batch_size=96)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=45000, val_interval=4500)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
