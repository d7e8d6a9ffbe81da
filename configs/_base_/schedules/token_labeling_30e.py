# LV-ViT's fine-tuning at a higher resolution: lr 5e-6 at batch 512, constant after the
# warm-up, weight decay 1e-8, no moving average. Swin V2's: 30 epochs, 5 of them
# warm-up from a thousandth, and gradients clipped at 5.
_base_ = "./imagenet_30e.py"

optim_wrapper = dict(optimizer=dict(lr=5e-6))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 1  # constant
auto_scale_lr = dict(base_batch_size=512)
