_base_ = "./swinv2-t-p4-w8-in1k-256-pre_upernet_8xb2-160k_ade20k-512x512.py"

# The paper has no S on ADE20K; settings as for T.
checkpoint = "swinv2://small-w16-256"  # ImageNet-1K, 256 px, window 16
model = dict(
    backbone=dict(arch="small", window_size=16, init_cfg=dict(checkpoint=checkpoint))
)
