_base_ = [
    "./fd-clip-vit-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px.py",
    "../_base_/strategies/fsdp.py",
]

# Of FD-SwinV2-G (61.4 mIoU, 64.2 box AP) the paper says that Swin V2-G is teacher and
# student, and no settings: these are B's. The teacher is a run of this repository, as
# G's weights were never published.
model = dict(
    backbone=dict(arch="giant"),
    neck=dict(in_channels=4096),
    teacher=dict(
        _delete_=True,
        type="mmswinv2.ConfigTeacher",
        config="simmim_swinv2-g-p4-w12_96xb96-20e_in22k-192px",
        weights="work_dirs/simmim_swinv2-g-p4-w12_96xb96-20e_in22k-192px/epoch_20.pth",
    ),
)
train_dataloader = dict(batch_size=32)  # pictures per GPU, 64 GPUs
