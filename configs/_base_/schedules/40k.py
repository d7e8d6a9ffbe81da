# 40k iterations: AdamW, lr 6e-5, weight decay 0.05, linear decay, warm-up of 375
# iterations, batch 64 (paper, appendix A1: B and L, for which it names no layer decay).
_base_ = "./adamw.py"

optim_wrapper = dict(optimizer=dict(lr=6e-5))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=375),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=375, end=40000),
]
auto_scale_lr = dict(base_batch_size=64)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=40000, val_interval=4000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
