# Kinetics-400 in clips of 16 frames, every fourth one, at 320 px.
_base_ = "./kinetics400_16x4-256px.py"

train_pipeline = _base_.train_pipeline
train_pipeline[2].short_side = 365  # px, 256 / 224 * 320
train_pipeline[3].size = 320
val_pipeline = _base_.val_pipeline
val_pipeline[2].short_side = 365
val_pipeline[3].size = 320
test_pipeline = _base_.test_pipeline
test_pipeline[2].short_side = 320
test_pipeline[3].size = 320

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
