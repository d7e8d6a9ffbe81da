# ImageNet-1K with label maps at 384 px; tests on whole pictures, squashed to a square.
_base_ = "./token_labels_256px.py"

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = 384
squash = dict(type="Resize", scale=(384, 384), **_base_.backend)
test_pipeline = [_base_.load, squash, dict(type="PackInputs")]
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
