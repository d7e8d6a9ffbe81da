_base_ = [
    "../_base_/models/htc_swinv2.py",
    "../_base_/datasets/coco-stuff_instance_ms-crop.py",
    "../_base_/schedules/3x.py",
    "../_base_/default_runtime_det.py",
]

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(
        arch="base",
        window_size=16,
        drop_path_rate=0.3,  # as Swin V1-B on COCO
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
