_base_ = [
    "../_base_/models/mask2former_swinv2_ade20k.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/mask2former_160k.py",
    "../_base_/default_runtime_seg.py",
]

# ImageNet-1K, 256 px, window 16 (8 in the last stage)
checkpoint = "swinv2://tiny-w16-256"
model = dict(
    data_preprocessor=dict(size=(512, 512)),  # px, the training crop
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)),
)
