# RetinaNet that trains on a CPU: Swin V2 'nano' and slim heads.
_base_ = "./retinanet_swinv2.py"

model = dict(
    backbone=dict(arch="nano", drop_path_rate=0.0),
    neck=dict(
        in_channels=[64, 128, 256],
        out_channels=64,
        norm_cfg=dict(type="GN", num_groups=8),  # nothing here is pre-trained
    ),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2),
)
