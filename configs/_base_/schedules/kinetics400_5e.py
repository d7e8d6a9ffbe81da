# Second stage of G on Kinetics-400: 5 epochs, lr 5e-5 at batch 64, an epoch of warm-up;
# the rest as in the first (paper, appendix).
_base_ = "./kinetics400_20e.py"

optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 1
param_scheduler[1].end = 5
auto_scale_lr = dict(base_batch_size=64)

train_cfg = dict(max_epochs=5)
