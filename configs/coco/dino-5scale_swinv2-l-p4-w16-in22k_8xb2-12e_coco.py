_base_ = "./dino-4scale_swinv2-t-p4-w16_8xb2-12e_coco.py"

checkpoint = "swinv2://large-w12-192-22k"  # ImageNet-22K, 192 px, window 12
num_levels = 5  # of features, from stride 4 on, as Swin V1-L under DINO
model = dict(
    num_feature_levels=num_levels,
    backbone=dict(
        arch="large",
        out_indices=(0, 1, 2, 3),
        with_cp=True,
        init_cfg=dict(checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[192, 384, 768, 1536], num_outs=num_levels),
    encoder=dict(layer_cfg=dict(self_attn_cfg=dict(num_levels=num_levels))),
    decoder=dict(layer_cfg=dict(cross_attn_cfg=dict(num_levels=num_levels))),
)
