# The official recipe for Swin V2-B: 300 epochs, AdamW, lr 2e-4 per 512 pictures, weight
# decay 0.05, 10 epochs of warm-up, cosine to 1e-5 per 512, gradients clipped at 3.
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=8e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=3.0),
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=5e-3,  # from 4e-6: 1e-6 per 512 pictures
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=0.05,
        by_epoch=True,
        begin=10,
        end=300,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=300)
auto_scale_lr = dict(enable=False, base_batch_size=2048)
