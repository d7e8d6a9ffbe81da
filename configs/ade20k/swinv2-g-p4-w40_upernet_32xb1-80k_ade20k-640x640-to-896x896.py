# Trains at 640 px with windows of 40, tests at 896 px with windows of 56 (paper, table
# 4: 59.3 mIoU, and 59.9 with --tta).
_base_ = "./swinv2-g-p4-w40_upernet_32xb1-80k_ade20k-640x640.py"

crop_size = (896, 896)  # px
# crops overlap by a third
model = dict(test_cfg=dict(crop_size=crop_size, stride=(597, 597)))

test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (3584, 896)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook", test_window_size=56)]
