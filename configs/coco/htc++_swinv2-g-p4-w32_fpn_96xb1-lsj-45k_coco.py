_base_ = [
    "../_base_/models/htc++_swinv2.py",
    "../_base_/datasets/coco-stuff_instance_lsj-1536.py",
    "../_base_/schedules/htc++_45k.py",
    "../_base_/default_runtime_det_iters.py",
    "../_base_/strategies/fsdp.py",
]

# The weights of G (3.0 billion parameters) were never published, and SimMIM's 'giant'
# (1.1 billion, 448 channels) is another model. The paper trains boxes on Objects365 v2
# first (67500 iterations, batch 96, lr 1.2e-3) and starts the mask branch from noise:
# give such weights of your own as load_from. Without, all of it starts from noise.
neck = _base_.model.neck
neck[0].update(in_channels=4096, num_heads=128)
neck[1].update(in_channels=[512, 1024, 2048, 4096])
model = dict(backbone=dict(arch="giant", drop_path_rate=0.4), neck=neck)
train_dataloader = dict(batch_size=1)  # images per GPU, 96 GPUs

# Tests with windows of 48 what windows of 32 trained (paper, table 3).
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook", test_window_size=48)]
tta_model = dict(tta_cfg=dict(nms=dict(type="soft_nms", iou_threshold=0.5)))
