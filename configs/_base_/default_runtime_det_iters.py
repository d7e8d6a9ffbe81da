# Runtime of detection configs whose schedule counts iterations.
_base_ = "./default_runtime_det.py"

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=5000),  # iterations
)
log_processor = dict(by_epoch=False)
