# Runtime of Feature Distillation: no evaluation.
_base_ = "./default_runtime_cls.py"

default_hooks = dict(checkpoint=dict(interval=10, save_best=None))
