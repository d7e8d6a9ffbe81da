_base_ = "./mask-rcnn_swinv2-t-p4-w8_fpn_1x_coco.py"

# ImageNet-1K, 256 px, window 16 (8 in the last stage; official)
checkpoint = "https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_tiny_patch4_window16_256.pth"
model = dict(backbone=dict(window_size=16, init_cfg=dict(checkpoint=checkpoint)))
