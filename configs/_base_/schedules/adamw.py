# AdamW as in Swin V2's downstream runs; each schedule adds its learning rate.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", betas=(0.9, 0.999), weight_decay=0.05),
    # No decay, as in the official code: norms, every 1-D parameter (biases, q_bias,
    # v_bias), and by name what is not 1-D: cpb_mlp's weights and logit_scale.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys=dict(
            cpb_mlp=dict(decay_mult=0.0), logit_scale=dict(decay_mult=0.0)
        ),
    ),
)

# 8 GPUs x 2 images: the batch of 16 that the learning rates belong to (paper).
# tools/train.py --auto-scale-lr scales the rate to the batch really used.
auto_scale_lr = dict(enable=False, base_batch_size=16)
