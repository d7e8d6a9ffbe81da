# Mask2Former for semantic segmentation that trains on a CPU: Swin V2 'nano', a third
# of the layers, and masks that are compared at fewer points.
_base_ = "./mask2former_swinv2_ade20k.py"

model = dict(
    backbone=dict(arch="nano", drop_path_rate=0.0),
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        pixel_decoder=dict(encoder=dict(num_layers=2)),
        transformer_decoder=dict(num_layers=3),
        train_cfg=dict(num_points=1024),
    ),
)
