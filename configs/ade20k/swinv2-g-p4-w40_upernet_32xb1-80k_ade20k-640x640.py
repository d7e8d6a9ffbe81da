_base_ = [
    "../_base_/models/upernet_swinv2.py",
    "../_base_/datasets/ade20k_640x640.py",
    "../_base_/schedules/80k.py",
    "../_base_/default_runtime_seg.py",
    "../_base_/strategies/fsdp.py",
]

crop_size = (640, 640)  # px; stage 4 has 20 x 20 tokens, windows shrink to the map
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        arch="giant",
        window_size=40,  # tokens (paper)
        drop_path_rate=0.4,  # paper, appendix A1
        with_cp=True,
        # No init_cfg: the weights of G (3.0 billion parameters) were never published,
        # and SimMIM's 'giant' (1.1 billion, 448 channels) is another model. Set
        # init_cfg to weights of your own; without, training starts from noise.
    ),
    decode_head=dict(in_channels=[512, 1024, 2048, 4096]),
    auxiliary_head=dict(in_channels=2048),
    # crops overlap by a third
    test_cfg=dict(mode="slide", crop_size=crop_size, stride=(426, 426)),
)
train_dataloader = dict(batch_size=1)  # images per GPU, 32 GPUs
default_hooks = dict(checkpoint=dict(interval=8000))
