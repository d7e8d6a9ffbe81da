# Weights of ImageNet-22K on ImageNet-1K: 30 epochs, lr 4e-5 at batch 1024, weight decay
# 1e-8, 5 epochs of warm-up; the rest as from scratch (official code; paper, appendix
# A1).
_base_ = "./imagenet_300e.py"

optim_wrapper = dict(optimizer=dict(lr=4e-5, weight_decay=1e-8))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5
param_scheduler[1].end = 30

train_cfg = dict(max_epochs=30)
