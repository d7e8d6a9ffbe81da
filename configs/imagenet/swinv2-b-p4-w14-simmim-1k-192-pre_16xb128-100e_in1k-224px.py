_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_224px.py",
    "../_base_/schedules/imagenet_100e.py",
    "../_base_/default_runtime_cls.py",
]

checkpoint = "swinv2://base-w12-192-simmim-1k-500k"
model = dict(
    backbone=dict(
        arch="base",
        window_size=14,
        drop_path_rate=0.1,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    head=dict(in_channels=1024),
)
train_dataloader = dict(batch_size=128)  # 16 GPUs
