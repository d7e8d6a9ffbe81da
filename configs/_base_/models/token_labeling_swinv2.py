# Token Labeling in place of mixup, CutMix and the label of the folder: MixToken, and
# cross entropy of the mean token and of every token of the last map with labels of a
# teacher, both smoothed by 0.1, of equal weight (LV-ViT's code).
_base_ = "./classifier_swinv2.py"

model = dict(
    type="mmswinv2.TokenLabelingClassifier",
    neck=None,
    head=dict(
        _delete_=True,
        type="mmswinv2.TokenLabelingHead",
        num_classes=1000,
        in_channels=768,
    ),
    train_cfg=None,
)
