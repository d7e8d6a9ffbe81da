"""A classifier of three classes, for the tests of the tools."""

from __future__ import annotations

from pathlib import Path

CONFIG = """
_base_ = ["mmswinv2::_base_/default_runtime_cls.py"]
data_root = {root!r}
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        num_classes=3, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type="mmswinv2.SwinTransformerV2", arch="nano", window_size=4,
        depths=(1, 1, 2, 1), out_indices=(3,),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead", num_classes=3, in_channels=256,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8)]),
)
resize = dict(type="ResizeEdge", scale=36, edge="short", backend="pillow")
crop = dict(type="CenterCrop", crop_size=32)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=32, backend="pillow"),
    dict(type="PackInputs"),
]
load = dict(type="LoadImageFromFile", imdecode_backend="pillow")
test_pipeline = [load, resize, crop, dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="CustomDataset", data_root=data_root + "/train",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="CustomDataset", data_root=data_root + "/val",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1, 2))
test_evaluator = val_evaluator
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    constructor="mmswinv2.LayerDecayOptimWrapperConstructor",
)
default_hooks = dict(logger=dict(interval=1))
tta_model = dict(type="mmswinv2.AverageClsScoreTTA")
flips = [dict(type="RandomFlip", prob=prob) for prob in (0.0, 1.0)]
views = [[resize], [crop], flips, [dict(type="PackInputs")]]
tta_pipeline = [load, dict(type="TestTimeAug", transforms=views)]
"""


def write_classifier(folder: Path, class_folders: Path) -> Path:
    """The config in a folder, of pictures as ``class_folders`` has them."""
    file = folder / "tiny-classifier.py"
    file.write_text(CONFIG.format(root=str(class_folders)))
    return file
