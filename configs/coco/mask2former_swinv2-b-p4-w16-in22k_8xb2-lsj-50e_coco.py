_base_ = "./mask2former_swinv2-t-p4-w16_8xb2-lsj-50e_coco.py"

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(arch="base", with_cp=True, init_cfg=dict(checkpoint=checkpoint)),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)
