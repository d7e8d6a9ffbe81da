# 160k iterations: AdamW, lr 4e-5, weight decay 0.05, layer decay 0.95, linear decay,
# warm-up of 1500 iterations, batch 16 (paper, appendix A1: the ablation with T).
_base_ = "./adamw.py"

optim_wrapper = dict(optimizer=dict(lr=4e-5), paramwise_cfg=dict(layer_decay_rate=0.95))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=160000),
]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=160000, val_interval=16000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
