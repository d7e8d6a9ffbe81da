# ImageNet-1K at 256 px with label maps, which go where crops, flips and RandAugment
# move the pixels. tools/dataset_converters/make_token_labels.py writes the maps.
_base_ = "./imagenet_256px.py"

data_root = "data/imagenet"
train_pipeline = _base_.train_pipeline
# the same, and they note how pixels move
train_pipeline[1].type = "mmswinv2.RandomResizedCrop"
train_pipeline[2].type = "mmswinv2.RandomFlip"
train_pipeline[3].type = "mmswinv2.RandAugment"
train_pipeline[-1].algorithm_keys = [
    "token_label_values",
    "token_label_ids",
    "token_label_kind",
    "geometry",
]
train_pipeline.insert(
    1,
    dict(
        type="mmswinv2.LoadTokenLabels",
        store=f"{data_root}/token_labels",
        data_root=f"{data_root}/train",
    ),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
