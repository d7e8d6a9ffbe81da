# A classifier of clips: the mean over time and space of the last map, after its norm,
# dropout of one half and a linear layer, as in Video Swin V1 (arXiv 2106.13230), which
# neither mixes clips nor smooths labels on Kinetics-400.
model = dict(
    type="mmswinv2.VideoClassifier",
    max_testing_views=4,  # at once on a GPU
    data_preprocessor=dict(
        type="mmswinv2.VideoDataPreprocessor",
        num_classes=400,  # as of the head
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
    ),
    backbone=dict(
        type="mmswinv2.VideoSwinTransformerV2",
        arch="tiny",
        window_size=(8, 7, 7),  # tokens of 2 frames x 4 x 4 px
        drop_path_rate=0.1,
        out_indices=(3,),
    ),
    neck=dict(type="GlobalAveragePooling", dim=3),
    head=dict(type="mmswinv2.VideoClsHead", num_classes=400, in_channels=768),
)
