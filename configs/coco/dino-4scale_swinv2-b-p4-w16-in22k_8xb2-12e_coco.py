_base_ = "./dino-4scale_swinv2-t-p4-w16_8xb2-12e_coco.py"

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(arch="base", with_cp=True, init_cfg=dict(checkpoint=checkpoint)),
    neck=dict(in_channels=[256, 512, 1024]),
)
