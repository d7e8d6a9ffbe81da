# Ours: the paper has no video model but G. Settings after Video Swin V1-B.
_base_ = "./swinv2-t-p2x4x4-w8x7x7-in1k-256-pre_8xb8-30e_kinetics400-32x2-224px.py"

checkpoint = "swinv2://base-w8-256"
model = dict(
    backbone=dict(
        arch="base", drop_path_rate=0.3, init_cfg=dict(checkpoint=checkpoint)
    ),
    head=dict(in_channels=1024),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
