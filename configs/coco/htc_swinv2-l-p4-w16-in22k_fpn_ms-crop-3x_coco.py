_base_ = "./htc_swinv2-b-p4-w16-in22k_fpn_ms-crop-3x_coco.py"

checkpoint = "swinv2://large-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(arch="large", with_cp=True, init_cfg=dict(checkpoint=checkpoint)),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)
