_base_ = [
    "./htc_swinv2-b-p4-w16-in22k_fpn_ms-crop-3x_coco.py",
    "../_base_/strategies/fsdp.py",
]

model = dict(
    backbone=dict(
        arch="giant",
        with_cp=True,
        # The weights of G (3.0 billion parameters) were never published, and SimMIM's
        # 'giant' (1.1 billion, 448 channels) is another model. Set init_cfg to weights
        # of your own; without, training starts from noise.
        init_cfg=None,
    ),
    neck=dict(in_channels=[512, 1024, 2048, 4096]),
)
