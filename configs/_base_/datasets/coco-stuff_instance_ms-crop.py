# COCO 2017 as in coco_instance_ms-crop.py, with the pixel maps of things and stuff
# (stuffthingmaps_trainval2017.zip of COCO-Stuff) for the semantic branch of HTC.
_base_ = "./coco_instance_ms-crop.py"

train_pipeline = _base_.train_pipeline
train_pipeline[1].with_seg = True
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(seg="stuffthingmaps/train2017/"), pipeline=train_pipeline
    )
)
