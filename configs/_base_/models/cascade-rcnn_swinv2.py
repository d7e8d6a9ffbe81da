# Cascade R-CNN with FPN on Swin V2-T: Cascade Mask R-CNN without its mask branch.
_base_ = "./cascade-mask-rcnn_swinv2.py"

model = dict(
    data_preprocessor=dict(pad_mask=False),
    roi_head=dict(mask_roi_extractor=None, mask_head=None),
)
