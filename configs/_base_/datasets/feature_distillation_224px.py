# Any folder of pictures, flat or nested, for Feature Distillation at 224 px, as the
# official code: decoded by Pillow, EXIF ignored; a crop and a flip, the same view for
# student and teacher.
data_root = "data/imagenet/train"
extensions = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

train_pipeline = [
    dict(
        type="LoadImageFromFile",
        imdecode_backend="pillow",
        color_type="color_ignore_orientation",
    ),
    dict(
        type="RandomResizedCrop",
        scale=224,
        crop_ratio_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        backend="pillow",  # which smooths before it shrinks
        interpolation="bilinear",
    ),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    batch_size=128,  # pictures per GPU, 16 GPUs
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    drop_last=True,
    dataset=dict(
        type="CustomDataset",
        data_root=data_root,
        with_label=False,
        extensions=extensions,
        pipeline=train_pipeline,
    ),
)
