# 80k iterations: AdamW, lr 4e-5, weight decay 0.05, linear decay, warm-up of 750
# iterations, batch 32 (paper, appendix A1: G, for which it names no layer decay).
_base_ = "./adamw.py"

optim_wrapper = dict(optimizer=dict(lr=4e-5))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=750),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=750, end=80000),
]
auto_scale_lr = dict(base_batch_size=32)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=80000, val_interval=8000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
