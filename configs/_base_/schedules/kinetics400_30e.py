# Weights of images on Kinetics-400: 30 epochs, AdamW, lr 1e-3 at batch 64 and a tenth
# of it in the backbone, weight decay 0.02, 2.5 epochs of warm-up from a tenth, cosine
# to zero (Video Swin V1's settings); gradients clipped at 5, as Swin V2's on images.
_base_ = "./adamw.py"

optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.02),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=2.5,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=0.0,
        by_epoch=True,
        begin=2.5,
        end=30,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=64)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=30, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
