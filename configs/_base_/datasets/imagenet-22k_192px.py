# ImageNet-22K (fall 2011, 21841 classes) by the official lists, which lie in data_root
# beside what their paths begin with, at 192 px; tests on the centre of pictures with a
# short side of 219 px, int(256 / 224 * 192).
_base_ = "./imagenet_256px.py"

data_root = "data/imagenet22k"
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 192
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 219
test_pipeline[2].crop_size = 192
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]

train_dataloader = dict(
    batch_size=128,  # pictures per GPU, 32 GPUs
    dataset=dict(
        _delete_=True,
        type="mmswinv2.ImageNet22K",
        data_root=data_root,
        ann_file="ILSVRC2011fall_whole_map_train.txt",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="mmswinv2.ImageNet22K",
        data_root=data_root,
        ann_file="ILSVRC2011fall_whole_map_val.txt",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
