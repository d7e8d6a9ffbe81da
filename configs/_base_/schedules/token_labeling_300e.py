# LV-ViT's 300 epochs: AdamW, lr 1.6e-3 at batch 1024, weight decay 0.05, warm-up from
# 1e-6, cosine to 1e-5. Swin V2's: 20 epochs of warm-up (LV-ViT has 5) and gradients
# clipped at 5. Nobody has tuned either for Swin.
_base_ = "./imagenet_300e.py"

optim_wrapper = dict(optimizer=dict(lr=1.6e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1 / 1600
param_scheduler[1].eta_min_ratio = 1 / 160
