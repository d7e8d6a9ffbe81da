_base_ = "./htc_swinv2-l-p4-w16-in22k_fpn_ms-crop-3x_coco.py"

# For those who have no pixel maps of COCO-Stuff
model = dict(roi_head=dict(semantic_head=None, semantic_roi_extractor=None))
train_pipeline = _base_.train_pipeline
train_pipeline[1].with_seg = False
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(_delete_=True, img="train2017/"), pipeline=train_pipeline
    )
)
