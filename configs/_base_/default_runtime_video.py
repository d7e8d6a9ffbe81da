# Runtime of classifiers of videos; the first import tells where mmpretrain is missing.
_base_ = "./default_runtime_cls.py"

custom_imports = dict(
    imports=["mmswinv2.pretraining", "mmswinv2.video"], allow_failed_imports=False
)
custom_hooks = [
    dict(type="mmswinv2.WindowResolutionTransferHook"),
    dict(type="mmswinv2.UnreadableVideosHook"),
]
