_base_ = "./mask-rcnn_swinv2-t-p4-w8_fpn_1x_coco.py"

# ImageNet-1K, 256 px, window 16 (8 in the last stage)
checkpoint = "swinv2://tiny-w16-256"
model = dict(backbone=dict(window_size=16, init_cfg=dict(checkpoint=checkpoint)))
