_base_ = "./swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640.py"

# The paper has no H on ADE20K; settings as for G. SimMIM publishes these weights, but
# not their number of heads (ours: 32 channels each); its code has no extra norms.
checkpoint = "swinv2://huge-w12-192-simmim-22k-500k"
model = dict(
    backbone=dict(
        arch="huge",
        extra_norm_every_n_blocks=0,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[352, 704, 1408, 2816]),
    auxiliary_head=dict(in_channels=1408),
)
