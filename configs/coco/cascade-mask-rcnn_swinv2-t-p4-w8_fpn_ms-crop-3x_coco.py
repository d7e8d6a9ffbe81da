_base_ = [
    "../_base_/models/cascade-mask-rcnn_swinv2.py",
    "../_base_/datasets/coco_instance_ms-crop.py",
    "../_base_/schedules/3x.py",
    "../_base_/default_runtime_det.py",
]

checkpoint = "swinv2://tiny-w8-256"  # ImageNet-1K, 256 px, window 8
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
