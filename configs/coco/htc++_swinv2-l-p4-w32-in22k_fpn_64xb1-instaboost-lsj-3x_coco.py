_base_ = "./htc++_swinv2-b-p4-w32-in22k_fpn_64xb1-instaboost-lsj-3x_coco.py"

checkpoint = "swinv2://large-w12-192-22k"  # ImageNet-22K, 192 px, window 12
neck = _base_.model.neck
neck[0].update(in_channels=1536, num_heads=48)
neck[1].update(in_channels=[192, 384, 768, 1536])
model = dict(
    backbone=dict(arch="large", init_cfg=dict(checkpoint=checkpoint)), neck=neck
)
