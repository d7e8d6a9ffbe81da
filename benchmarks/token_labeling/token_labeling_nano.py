# Token Labeling of nano at 128 px, window 8, for a CPU, on CamVid's training pictures.
# Loss, MixToken and augmentation as configs/token_labeling has them; length and rate
# are for 367 pictures, and the run is too short for an average of weights.
_base_ = (
    "../../configs/token_labeling/"
    "token-labeling_swinv2-t-p4-w8_16xb64-300e_in1k-256px.py"
)

data_root = "data/camvid/img_dir/train"
model = dict(
    backbone=dict(arch="nano", drop_path_rate=0.0),
    head=dict(in_channels=256, num_classes=11),
    data_preprocessor=dict(num_classes=11),
)
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(store="work_dirs/token_labeling/labels", data_root=data_root)
train_pipeline[2].update(scale=128, backend="cv2", interpolation="area")
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root=data_root,
        with_label=False,
        pipeline=train_pipeline,
    ),
)
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, end=5, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=5, end=40, convert_to_iter_based=True),
]
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=40)
custom_hooks = [dict(type="mmswinv2.WindowResolutionTransferHook")]
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=10, save_best=None)
)
