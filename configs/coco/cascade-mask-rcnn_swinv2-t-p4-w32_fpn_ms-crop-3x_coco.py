_base_ = "./cascade-mask-rcnn_swinv2-t-p4-w8_fpn_ms-crop-3x_coco.py"

# Table 1 of the paper carries the weights of window 8 at 256 px to window 32.
model = dict(backbone=dict(window_size=32))
