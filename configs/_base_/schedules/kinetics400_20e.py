# First stage of G on Kinetics-400: 20 epochs, AdamW, lr 3.6e-4 at batch 80, weight
# decay 0.1, 2.5 epochs of warm-up, cosine (paper, appendix). A tenth of the rate in the
# backbone is ours: so scaled, the rate is Video Swin V1's with weights of ImageNet-22K.
_base_ = "./kinetics400_30e.py"

optim_wrapper = dict(optimizer=dict(lr=3.6e-4, weight_decay=0.1))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 20
auto_scale_lr = dict(base_batch_size=80)

train_cfg = dict(max_epochs=20)
