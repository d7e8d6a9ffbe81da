# COCO 2017 with large-scale jittering: images scaled to 0.1 to 2 times 1024 px, then
# cropped or padded to 1024 x 1024 px.
_base_ = "./coco_instance.py"

size = (1024, 1024)  # px
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="RandomResize", scale=size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type="RandomCrop",
        crop_type="absolute",
        crop_size=size,
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-5, 1e-5), by_mask=True),
    # the mean of ImageNet, BGR, which normalisation turns into 0; labels: ignored
    dict(type="Pad", size=size, pad_val=dict(img=(104, 116, 124), seg=255)),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
