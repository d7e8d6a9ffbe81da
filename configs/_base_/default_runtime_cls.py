# Runtime of every config on mmpretrain: classification and SimMIM.
default_scope = "mmpretrain"
custom_imports = dict(imports=["mmswinv2.pretraining"], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=100),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="mmswinv2.CheckpointHook",
        interval=1,  # epochs
        max_keep_ckpts=2,
        save_best="accuracy/top1",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    repeatable=dict(type="mmswinv2.RepeatableHook"),
    non_finite=dict(type="mmswinv2.NonFiniteLossHook"),
)
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook")]

env_cfg = dict(
    cudnn_benchmark=True,  # pictures of one size
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(
    type="UniversalVisualizer",
    vis_backends=[dict(type="LocalVisBackend")],
    name="visualizer",
)
# another mixup and other dropped paths on each GPU, as in the official code
randomness = dict(seed=None, diff_rank_seed=True)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"
load_from = None
resume = False
