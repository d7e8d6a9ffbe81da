# For one's own data: warm-up, then a cosine to zero. Configs give the learning rate and
# the iterations; a schedule without an end goes on to that of the training.
_base_ = "../schedules/adamw.py"

# a spike in one of few pictures must not undo the others; 5 as the small runs need it
optim_wrapper = dict(clip_grad=dict(max_norm=5.0, norm_type=2))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=1000),
    dict(type="CosineAnnealingLR", eta_min=0.0, by_epoch=False, begin=1000),
]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=10000, val_interval=1000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
