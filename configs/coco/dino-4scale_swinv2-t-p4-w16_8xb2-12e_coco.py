_base_ = [
    "../_base_/models/dino_swinv2.py",
    "../_base_/datasets/coco_detection_ms-crop.py",
    "../_base_/schedules/dino_12e.py",
    "../_base_/default_runtime_det.py",
]

# ImageNet-1K, 256 px, window 16 (8 in the last stage)
checkpoint = "swinv2://tiny-w16-256"
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
