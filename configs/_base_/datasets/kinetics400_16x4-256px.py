# Kinetics-400 in clips of 16 frames, every fourth one, at 256 px; tests on 4 clips x 5
# crops of each video (paper, table 5).
_base_ = "./kinetics400_32x2-224px.py"

sample = dict(type="mmswinv2.SampleFrames", clip_len=16, frame_interval=4)
train_pipeline = _base_.train_pipeline
train_pipeline[0] = sample
train_pipeline[2].short_side = 292  # px, 256 / 224 * 256
train_pipeline[3].size = 256
val_pipeline = _base_.val_pipeline
val_pipeline[0] = dict(sample, test_mode=True)
val_pipeline[2].short_side = 292
val_pipeline[3].size = 256
test_pipeline = _base_.test_pipeline
test_pipeline[0] = dict(sample, num_clips=4, test_mode=True)
test_pipeline[2].short_side = 256
test_pipeline[3].update(size=256, number=5)

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
