_base_ = "./fd-clip-vit-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px.py"

# The paper's settings of a ViT-L with this teacher, in which rates differ from those of
# Swin V2-B: per 512 pictures 3e-4, 5e-6 at the end, and 5e-7 at the start.
model = dict(
    backbone=dict(arch="large"),
    neck=dict(in_channels=1536),
    teacher=dict(model="vit_large_patch14_clip_224.openai"),
)
optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 5e-7 / 3e-4
param_scheduler[1].eta_min_ratio = 5e-6 / 3e-4
