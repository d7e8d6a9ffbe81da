# As feature_distillation_224px.py, with features of whole pictures in place of a
# teacher; model.store is the same folder.
_base_ = "./feature_distillation_224px.py"

teacher_store = "data/imagenet/teacher_features"
load, crop, flip, pack = _base_.train_pipeline
# which note how they move pixels
crop.type, flip.type = "mmswinv2.RandomResizedCrop", "mmswinv2.RandomFlip"
pack.algorithm_keys = ["teacher_features", "geometry"]
train_pipeline = [
    load,
    dict(
        type="mmswinv2.LoadTeacherFeatures",
        store=teacher_store,
        data_root=_base_.data_root,
    ),
    crop,
    flip,
    pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
