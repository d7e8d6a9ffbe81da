_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/160k.py",
    "../_base_/default_runtime_seg.py",
]

# ImageNet-1K, 256 px, window 8 (official)
checkpoint = "https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2_tiny_patch4_window8_256.pth"
model = dict(
    data_preprocessor=dict(size=(512, 512)),  # px, the training crop
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)),
)
