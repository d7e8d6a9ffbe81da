# Runtime of every detection config. The scope stays 'mmdet': types of this package
# carry their own, as in 'mmswinv2.SwinTransformerV2'.
default_scope = "mmdet"
custom_imports = dict(imports=["mmswinv2"], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="mmswinv2.CheckpointHook",
        interval=1,  # epochs
        max_keep_ckpts=2,  # with the optimizer, Swin V2-T takes 0.6 GB each
        save_best="coco/bbox_mAP",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    repeatable=dict(type="mmswinv2.RepeatableHook"),
    non_finite=dict(type="mmswinv2.NonFiniteLossHook"),
    visualization=dict(type="DetVisualizationHook"),
)
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook")]

env_cfg = dict(
    cudnn_benchmark=False,  # batches differ in size
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(
    type="DetLocalVisualizer",
    vis_backends=[dict(type="LocalVisBackend")],
    name="visualizer",
)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"
load_from = None
resume = False

tta_model = dict(
    type="mmswinv2.InstanceTTAModel",
    tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5)),  # max_per_img: the model's
)
