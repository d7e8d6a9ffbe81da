# Mask2Former on COCO: 50 epochs of batch 16 are 368750 iterations; the rate falls to a
# tenth after 8/9 and 26/27 of them (its paper's recipe). The rest as on ADE20K.
_base_ = "./mask2former_160k.py"

param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=368750,
        milestones=[327778, 355092],
        gamma=0.1,
    )
]
train_cfg = dict(max_iters=368750, val_interval=36875)  # every 5 epochs
