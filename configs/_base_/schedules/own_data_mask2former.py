# Mask2Former on one's own data: its paper's clipping, backbone's rate and parameters
# without weight decay.
_base_ = "./own_data.py"

optim_wrapper = dict(
    clip_grad=dict(max_norm=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            query_embed=dict(decay_mult=0.0),
            query_feat=dict(decay_mult=0.0),
            level_embed=dict(decay_mult=0.0),
        )
    ),
)
