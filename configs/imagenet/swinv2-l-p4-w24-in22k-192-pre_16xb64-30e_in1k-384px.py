_base_ = "./swinv2-b-p4-w24-in22k-192-pre_16xb64-30e_in1k-384px.py"

model = dict(
    init_cfg=dict(checkpoint="swinv2://large-w12-192-22k"),
    backbone=dict(arch="large"),
    head=dict(in_channels=1536),
)
