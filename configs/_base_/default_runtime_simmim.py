# Runtime of SimMIM: pictures of reconstructions, no evaluation.
_base_ = "./default_runtime_cls.py"

default_hooks = dict(checkpoint=dict(interval=10, save_best=None))
custom_hooks = [
    dict(type="mmswinv2.WindowResolutionTransferHook"),
    dict(type="mmswinv2.ReconstructionHook", interval=10),
]
