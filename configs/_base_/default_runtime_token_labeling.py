# Runtime of Token Labeling from scratch: tests and checkpoints are of the moving
# average of the weights, decay 0.99992, as in LV-ViT's commands.
_base_ = "./default_runtime_cls.py"

custom_hooks = [
    dict(type="mmswinv2.WindowResolutionTransferHook"),
    dict(type="mmengine.EMAHook", momentum=8e-5),  # mmpretrain has another,
]
