# Faster R-CNN that trains on a CPU: the Mask R-CNN of that size without masks.
_base_ = "./mask-rcnn_swinv2-nano.py"

model = dict(
    type="FasterRCNN",
    data_preprocessor=dict(pad_mask=False),
    roi_head=dict(mask_roi_extractor=None, mask_head=None),
)
