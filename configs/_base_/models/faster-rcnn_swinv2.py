# Faster R-CNN with FPN on Swin V2-T: Mask R-CNN without its mask branch.
_base_ = "./mask-rcnn_swinv2.py"

model = dict(
    type="FasterRCNN",
    data_preprocessor=dict(pad_mask=False),
    roi_head=dict(mask_roi_extractor=None, mask_head=None),
)
