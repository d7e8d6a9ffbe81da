_base_ = [
    "../_base_/models/token_labeling_swinv2.py",
    "../_base_/datasets/token_labels_384px.py",
    "../_base_/schedules/token_labeling_30e.py",
    "../_base_/default_runtime_cls.py",
]

# From windows of 16 at 256 px, both classifiers included; drop path as there.
model = dict(
    backbone=dict(arch="base", window_size=24, drop_path_rate=0.5),
    head=dict(in_channels=1024),
)
first = "token-labeling_swinv2-b-p4-w16_16xb64-300e_in1k-256px"
load_from = f"work_dirs/{first}/epoch_300.pth"
