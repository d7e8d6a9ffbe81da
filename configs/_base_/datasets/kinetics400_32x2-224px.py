# Kinetics-400 by lists of files as tools/dataset_converters/kinetics.py writes them:
# clips of 32 frames, every second one, at 224 px. Validates on one clip and the centre;
# tests on 4 clips x 3 crops of each video, as Video Swin V1 (arXiv 2106.13230).
_base_ = "./kinetics400_classes.py"

data_root = "data/kinetics400"
metainfo = dict(classes=_base_.classes)
sample = dict(type="mmswinv2.SampleFrames", clip_len=32, frame_interval=2)

train_pipeline = [
    sample,
    dict(type="mmswinv2.DecodeVideo"),
    dict(type="mmswinv2.ResizeClip", short_side=256),  # px
    dict(
        type="mmswinv2.RandomResizedCropClip",
        size=224,
        area=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
    ),
    dict(type="mmswinv2.FlipClip", prob=0.5),
    dict(type="mmswinv2.PackClip"),
]
val_pipeline = [
    dict(sample, test_mode=True),
    dict(type="mmswinv2.DecodeVideo"),
    dict(type="mmswinv2.ResizeClip", short_side=256),
    dict(type="mmswinv2.CenterCropClip", size=224),
    dict(type="mmswinv2.PackClip"),
]
test_pipeline = [
    dict(sample, num_clips=4, test_mode=True),
    dict(type="mmswinv2.DecodeVideo"),
    dict(type="mmswinv2.ResizeClip", short_side=224),
    dict(type="mmswinv2.SpatialCrops", size=224, number=3),
    dict(type="mmswinv2.PackClip"),
]

train_dataloader = dict(
    batch_size=8,  # clips per GPU, 8 GPUs
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    drop_last=True,
    dataset=dict(
        type="mmswinv2.KineticsDataset",
        data_root=data_root,
        data_prefix="train",
        ann_file="train.txt",
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="mmswinv2.KineticsDataset",
        data_root=data_root,
        data_prefix="val",
        ann_file="val.txt",
        metainfo=metainfo,
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,  # videos per GPU, with all views of each
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(val_dataloader["dataset"], pipeline=test_pipeline),
)
# recall, the mean over classes, is what papers call mean class accuracy
val_evaluator = [
    dict(type="Accuracy", topk=(1, 5)),
    dict(type="SingleLabelMetric", items=["recall"]),
]
test_evaluator = val_evaluator
