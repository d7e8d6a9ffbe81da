# Weights of SimMIM on ImageNet-1K: 100 epochs, lr 5e-3 at batch 2048, weight decay
# 0.05, layer decay 0.75, 20 epochs of warm-up, cosine to 1e-6 in all layers; the rest
# as from scratch (official code: 1.25e-3 and 2.5e-7 per 512 pictures). --auto-scale-lr
# leaves eta_min as it is.
_base_ = "./imagenet_300e.py"

optim_wrapper = dict(optimizer=dict(lr=5e-3), paramwise_cfg=dict(layer_decay_rate=0.75))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 2e-4
param_scheduler[1].pop("eta_min_ratio")
param_scheduler[1].update(eta_min=1e-6, end=100)
auto_scale_lr = dict(base_batch_size=2048)

train_cfg = dict(max_epochs=100)
