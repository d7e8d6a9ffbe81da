# ImageNet-1K in folders by WordNet id, train/ and val/, at 256 px, as the official code
# reads, augments and tests it: decoded and resized by Pillow, bicubic, EXIF ignored.
data_root = "data/imagenet"
backend = dict(backend="pillow", interpolation="bicubic")
load = dict(
    type="LoadImageFromFile",
    imdecode_backend="pillow",
    color_type="color_ignore_orientation",
)

train_pipeline = [
    load,
    dict(
        type="RandomResizedCrop",
        scale=256,
        crop_ratio_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        **backend,
    ),
    dict(type="RandomFlip", prob=0.5),
    dict(  # timm's rand-m9-mstd0.5-inc1
        type="RandAugment",
        policies="timm_increasing",
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation="bicubic"),  # mean, BGR
    ),
    dict(
        type="RandomErasing",
        erase_prob=0.25,
        mode="rand",
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=[103.53, 116.28, 123.675],  # mean and deviation, BGR
        fill_std=[57.375, 57.12, 58.395],
    ),
    dict(type="PackInputs"),
]
test_pipeline = [
    load,
    dict(type="ResizeEdge", scale=292, edge="short", **backend),  # 256 / 224 * 256 px
    dict(type="CenterCrop", crop_size=256),
    dict(type="PackInputs"),
]
flips = [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)]
tta_pipeline = [
    *test_pipeline[:-1],
    dict(type="TestTimeAug", transforms=[flips, [dict(type="PackInputs")]]),
]
tta_model = dict(type="mmswinv2.AverageClsScoreTTA")  # of the softmax of both views

train_dataloader = dict(
    batch_size=64,  # pictures per GPU, 16 GPUs
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    drop_last=True,
    dataset=dict(
        type="ImageNet",
        data_root=data_root,
        data_prefix="train",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ImageNet",
        data_root=data_root,
        data_prefix="val",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1, 5))
test_evaluator = val_evaluator
