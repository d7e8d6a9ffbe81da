_base_ = "./mask-rcnn_swinv2-t-p4-w16_fpn_ms-crop-3x_coco.py"

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(
        arch="base",
        drop_path_rate=0.3,  # as Swin V1-B on COCO
        init_cfg=dict(checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
