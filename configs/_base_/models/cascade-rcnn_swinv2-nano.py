# Cascade R-CNN that trains on a CPU: the one with masks of that size without them.
_base_ = "./cascade-mask-rcnn_swinv2-nano.py"

model = dict(
    data_preprocessor=dict(pad_mask=False),
    roi_head=dict(mask_roi_extractor=None, mask_head=None),
)
