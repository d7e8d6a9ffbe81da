# HTC++ with B and L: 36 epochs, lr 4e-4 and a tenth of it for the backbone, weight
# decay 0.05, batch 64 (paper, appendix A1). Warm-up and milestones as in 3x.
_base_ = "./3x.py"

optim_wrapper = dict(
    optimizer=dict(lr=4e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
auto_scale_lr = dict(base_batch_size=64)
