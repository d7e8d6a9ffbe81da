_base_ = [
    "../_base_/models/mask2former_swinv2_coco.py",
    "../_base_/datasets/coco_instance_lsj-1024.py",
    "../_base_/schedules/mask2former_50e.py",
    "../_base_/default_runtime_det_iters.py",
]

# ImageNet-1K, 256 px, window 16 (8 in the last stage)
checkpoint = "swinv2://tiny-w16-256"
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
