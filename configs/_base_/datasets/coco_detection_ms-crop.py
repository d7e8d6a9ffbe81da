# COCO 2017, boxes only, with DETR's multi-scale training: short side 480 to 800 px.
_base_ = "./coco_instance_ms-crop.py"

train_pipeline = _base_.train_pipeline
train_pipeline[1].with_mask = False
test_pipeline = _base_.test_pipeline
test_pipeline[2].with_mask = False

# DETRs train on images without objects too
train_dataloader = dict(
    dataset=dict(filter_cfg=dict(filter_empty_gt=False), pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric="bbox")
test_evaluator = val_evaluator
