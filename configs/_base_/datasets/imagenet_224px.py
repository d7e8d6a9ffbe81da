# ImageNet-1K at 224 px; tests on the centre of pictures with a short side of 256 px.
_base_ = "./imagenet_256px.py"

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 256
test_pipeline[2].crop_size = 224
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
