# Low resolution: Mask R-CNN from scratch on the mini data at 128 px, window 8.
_base_ = [
    "../_base_/models/mask-rcnn_swinv2.py",
    "../_base_/datasets/coco_instance.py",
    "./_base_/schedule_300i.py",
    "../_base_/default_runtime_det.py",
]

# Slim heads: 64 channels, 64 RoIs per image. Boxes and masks are shared by all classes,
# since few of the 80 occur and none has many examples.
model = dict(
    backbone=dict(arch="nano", drop_path_rate=0.0),
    neck=dict(
        in_channels=[32, 64, 128, 256],
        out_channels=64,
        num_outs=4,
        norm_cfg=dict(type="GN", num_groups=8),
    ),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[3], ratios=[1.0], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=256, reg_class_agnostic=True),
        mask_roi_extractor=dict(out_channels=64, finest_scale=28),
        mask_head=dict(
            num_convs=2, in_channels=64, conv_out_channels=64, class_agnostic=True
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=256, max_per_img=128),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=256, max_per_img=128)),
)

data_root = "data/mini/coco/"
scale = (128, 128)  # px, half of the pictures' size
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = scale
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = scale
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [
    dict(type="Resize", ratio=ratio, keep_ratio=True) for ratio in (1.0, 1.25)
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,  # the pictures are small; a worker costs more than it saves
    persistent_workers=False,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        data_root=data_root, filter_cfg=dict(min_size=2), pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "annotations/instances_val2017.json")
test_evaluator = val_evaluator

default_hooks = dict(
    logger=dict(interval=10, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=50, max_keep_ckpts=1, save_best=None),
)
log_processor = dict(window_size=10, by_epoch=False)
