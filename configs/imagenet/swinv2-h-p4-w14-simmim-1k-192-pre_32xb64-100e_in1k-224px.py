_base_ = [
    "./swinv2-b-p4-w14-simmim-1k-192-pre_16xb128-100e_in1k-224px.py",
    "../_base_/strategies/fsdp.py",
]

# Only B has an official config; settings as for B. SimMIM publishes these weights, but
# not their number of heads (ours: 32 channels each); its code has no extra norms.
checkpoint = "swinv2://huge-w12-192-simmim-1k-500k"
model = dict(
    backbone=dict(
        arch="huge",
        extra_norm_every_n_blocks=0,
        init_cfg=dict(checkpoint=checkpoint),
    ),
    head=dict(in_channels=2816),
)
train_dataloader = dict(batch_size=64)  # 32 GPUs
