_base_ = "./mask-rcnn_swinv2-t-p4-w16_fpn_1x_coco.py"

checkpoint = "swinv2://large-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(
        arch="large",
        drop_path_rate=0.3,  # ours, as for B
        with_cp=True,
        init_cfg=dict(checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)
