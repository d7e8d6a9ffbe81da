# SimMIM of Swin V2: a linear layer predicts 32 x 32 px from each of the last tokens.
model = dict(
    type="SimMIM",
    data_preprocessor=dict(
        type="SelfSupDataPreprocessor",
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type="mmswinv2.SimMIMSwinV2",
        arch="base",
        # at 192 px stage 3 has 6 x 6 tokens, and its bias counts in these, as in the
        # official code
        window_size=[12, 12, 12, 6],
        drop_path_rate=0.1,
    ),
    neck=dict(type="SimMIMLinearDecoder", in_channels=1024, encoder_stride=32),
    head=dict(type="mmswinv2.SimMIMHead", norm_target_size=47),
)
