# Runtime of SimMIM: pictures of reconstructions, no evaluation.
_base_ = "./default_runtime_cls.py"

default_hooks = dict(checkpoint=dict(interval=10))
custom_hooks = [
    dict(type="mmswinv2.WindowResolutionTransferHook"),
    dict(type="mmswinv2.ReconstructionHook", interval=10),
]
