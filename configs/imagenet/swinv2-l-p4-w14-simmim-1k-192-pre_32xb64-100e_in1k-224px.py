_base_ = "./swinv2-b-p4-w14-simmim-1k-192-pre_16xb128-100e_in1k-224px.py"

# Only B has an official config; settings as for B.
checkpoint = "swinv2://large-w12-192-simmim-1k-500k"
model = dict(
    backbone=dict(arch="large", init_cfg=dict(checkpoint=checkpoint)),
    head=dict(in_channels=1536),
)
train_dataloader = dict(batch_size=64)  # 32 GPUs
