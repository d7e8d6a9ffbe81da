_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k_640x640.py",
    "../_base_/schedules/40k.py",
    "../_base_/default_runtime_seg.py",
]

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
crop_size = (640, 640)  # px; stage 4 has 20 x 20 tokens, windows shrink to the map
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        arch="base",
        window_size=40,  # tokens (paper)
        with_cp=True,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
    # crops overlap by a third
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=(426, 426)),
)
train_dataloader = dict(batch_size=4)  # images per GPU, 16 GPUs
default_hooks = dict(checkpoint=dict(interval=4000))
