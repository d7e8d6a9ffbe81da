_base_ = [
    "../_base_/models/cascade-mask-rcnn_swinv2.py",
    "../_base_/datasets/coco_instance_ms-crop.py",
    "../_base_/schedules/3x.py",
    "../_base_/default_runtime_det.py",
]

# ImageNet-1K, 256 px, window 8 (official)
checkpoint = "https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_tiny_patch4_window8_256.pth"
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
