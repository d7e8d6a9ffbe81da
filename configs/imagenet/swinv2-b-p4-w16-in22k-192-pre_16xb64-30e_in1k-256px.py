_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_256px.py",
    "../_base_/schedules/imagenet_30e.py",
    "../_base_/default_runtime_cls.py",
]

# Its classifier comes along: of 21841 classes those of ImageNet-1K.
model = dict(
    init_cfg=dict(type="Pretrained", checkpoint="swinv2://base-w12-192-22k"),
    backbone=dict(arch="base", window_size=16),
    head=dict(in_channels=1024),
)
