# The official recipe of Swin V2-B: 800 epochs, AdamW, lr 1e-4 per 512 pictures, weight
# decay 0.05, 10 epochs of warm-up, a tenth after epoch 700, gradients clipped at 5.
# cpb_mlp and logit_scale do not decay, as nowhere else; in the official code for SimMIM
# they do, since it looks for them by names without a match.
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=4e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=5e-3,  # from 2e-6: 5e-7 per 512 pictures
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    # milestones count from begin
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=800, milestones=[700]),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=800)
auto_scale_lr = dict(enable=False, base_batch_size=2048)
