# The official fine-tuning of a Swin V2-B after Feature Distillation: as after SimMIM,
# but for dropped paths, layer decay and a batch of 1024, which the authors call an
# accident.
_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_224px.py",
    "../_base_/schedules/imagenet_100e.py",
    "../_base_/default_runtime_cls.py",
]

load_from = (
    "work_dirs/fd-clip-vit-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px/epoch_300.pth"
)
model = dict(
    backbone=dict(arch="base", window_size=14, drop_path_rate=0.4),
    head=dict(in_channels=1024),
)
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-3), paramwise_cfg=dict(layer_decay_rate=0.8)
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 5e-7
auto_scale_lr = dict(base_batch_size=1024)
train_dataloader = dict(batch_size=64)  # 16 GPUs
