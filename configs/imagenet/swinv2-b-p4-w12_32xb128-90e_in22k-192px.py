_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet-22k_192px.py",
    "../_base_/schedules/imagenet_90e.py",
    "../_base_/default_runtime_cls.py",
]

model = dict(
    data_preprocessor=dict(num_classes=21841),
    # one window over the 6 x 6 tokens of stage 3, as in the official code
    backbone=dict(arch="base", window_size=[12, 12, 12, 6]),
    head=dict(num_classes=21841, in_channels=1024),
)
