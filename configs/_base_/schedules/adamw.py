# AdamW as in Swin V2's downstream runs; each schedule adds its learning rate. The
# constructor leaves norms, biases, cpb_mlp and logit_scale without weight decay, as the
# official code does; paramwise_cfg=dict(layer_decay_rate=...) adds layer decay.
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
    optimizer=dict(type="AdamW", betas=(0.9, 0.999), weight_decay=0.05),
)

# 8 GPUs x 2 images: the batch of 16 that the learning rates belong to (paper).
# tools/train.py --auto-scale-lr scales the rate to the batch really used.
auto_scale_lr = dict(enable=False, base_batch_size=16)
