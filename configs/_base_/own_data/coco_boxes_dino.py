# Boxes by DINO: its paper's weight decay, clipping and rate of the backbone.
_base_ = "./coco_boxes.py"

optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
