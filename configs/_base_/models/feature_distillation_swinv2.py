# Feature Distillation into Swin V2: the last map, through a 1 x 1 convolution, against
# that of a frozen teacher, which configs choose.
model = dict(
    type="mmswinv2.FeatureDistillation",
    data_preprocessor=dict(
        type="SelfSupDataPreprocessor",
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type="mmswinv2.SwinTransformerV2",
        arch="base",
        # at 224 px stage 3 has 7 x 7 tokens, and its bias counts in these, as in the
        # official code
        window_size=[14, 14, 14, 7],
        out_indices=(3,),
        drop_path_rate=0.3,  # of the student alone; the teacher drops nothing
    ),
    neck=dict(type="mmswinv2.FeatureProjection", in_channels=1024),
)
