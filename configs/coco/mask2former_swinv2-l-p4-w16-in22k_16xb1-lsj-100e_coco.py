_base_ = "./mask2former_swinv2-t-p4-w16_8xb2-lsj-50e_coco.py"

checkpoint = "swinv2://large-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(arch="large", with_cp=True, init_cfg=dict(checkpoint=checkpoint)),
    panoptic_head=dict(num_queries=200, in_channels=[192, 384, 768, 1536]),
)
train_dataloader = dict(batch_size=1)  # images per GPU, 16 GPUs

# 100 epochs, as Swin V1-L under Mask2Former
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=737500,
        milestones=[655556, 710184],
        gamma=0.1,
    )
]
train_cfg = dict(max_iters=737500)
