_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/160k.py",
    "../_base_/default_runtime_seg.py",
]

checkpoint = "swinv2://tiny-w8-256"  # ImageNet-1K, 256 px, window 8
model = dict(
    data_preprocessor=dict(size=(512, 512)),  # px, the training crop
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)),
)
