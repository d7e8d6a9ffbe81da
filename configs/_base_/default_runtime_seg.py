# Runtime of every segmentation config. The scope stays 'mmseg': types of this package
# carry their own, as in 'mmswinv2.SwinTransformerV2'.
default_scope = "mmseg"
custom_imports = dict(imports=["mmswinv2"], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="mmswinv2.CheckpointHook",
        by_epoch=False,
        interval=16000,  # iterations, a tenth of the 160k schedule
        max_keep_ckpts=2,
        save_best="mIoU",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    repeatable=dict(type="mmswinv2.RepeatableHook"),
    non_finite=dict(type="mmswinv2.NonFiniteLossHook"),
    visualization=dict(type="SegVisualizationHook"),
)
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook")]

env_cfg = dict(
    cudnn_benchmark=True,  # crops of one size
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(
    type="SegLocalVisualizer",
    alpha=0.5,  # the photo stays visible under the classes
    vis_backends=[dict(type="LocalVisBackend")],
    name="visualizer",
)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=False)
log_level = "INFO"
load_from = None
resume = False

tta_model = dict(type="SegTTAModel")  # mean of the softmax of all views
