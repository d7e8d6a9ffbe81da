_base_ = [
    "../_base_/models/mask2former_swinv2_ade20k.py",
    "../_base_/datasets/ade20k_640x640.py",
    "../_base_/schedules/mask2former_160k.py",
    "../_base_/default_runtime_seg.py",
]

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    data_preprocessor=dict(size=(640, 640)),  # px, the training crop
    backbone=dict(
        arch="base",
        window_size=20,  # tokens; divides every map of a crop
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
)
