# ImageNet-22K: 90 epochs, lr 1e-3 at batch 4096, weight decay 0.1, 5 epochs of warm-up;
# the rest as from scratch on ImageNet-1K (official code; paper, appendix A1).
_base_ = "./imagenet_300e.py"

optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5
param_scheduler[1].end = 90
auto_scale_lr = dict(base_batch_size=4096)

train_cfg = dict(max_epochs=90)
