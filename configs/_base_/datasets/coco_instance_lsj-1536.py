# COCO 2017 with large-scale jittering at 1536 x 1536 px, scale 0.1 to 2; tests at
# 1100 px (paper, appendix A1 and table 3), which we take for the short side.
_base_ = "./coco_instance_lsj-1024.py"

size = (1536, 1536)  # px
train_pipeline = _base_.train_pipeline
train_pipeline[3].scale = size
train_pipeline[4].crop_size = size
train_pipeline[6].size = size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (1833, 1100)  # as 1333 x 800

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
