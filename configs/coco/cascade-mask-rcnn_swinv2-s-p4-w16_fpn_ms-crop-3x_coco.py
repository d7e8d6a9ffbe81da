_base_ = "./cascade-mask-rcnn_swinv2-t-p4-w16_fpn_ms-crop-3x_coco.py"

checkpoint = "swinv2://small-w16-256"  # ImageNet-1K, 256 px, window 16
model = dict(backbone=dict(arch="small", init_cfg=dict(checkpoint=checkpoint)))
