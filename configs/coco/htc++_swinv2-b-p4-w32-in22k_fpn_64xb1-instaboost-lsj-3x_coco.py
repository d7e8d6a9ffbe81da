_base_ = [
    "../_base_/models/htc++_swinv2.py",
    "../_base_/datasets/coco-stuff_instance_lsj-1536.py",
    "../_base_/schedules/htc++_3x.py",
    "../_base_/default_runtime_det.py",
]

checkpoint = "swinv2://base-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))

# after the image, before its annotations; needs the package instaboostfast
train_pipeline = _base_.train_pipeline
train_pipeline.insert(1, dict(type="mmswinv2.InstaBoost"))
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))  # 64 GPUs

# Tests with windows of 48 what windows of 32 trained (paper, table 3).
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook", test_window_size=48)]
tta_model = dict(tta_cfg=dict(nms=dict(type="soft_nms", iou_threshold=0.5)))
