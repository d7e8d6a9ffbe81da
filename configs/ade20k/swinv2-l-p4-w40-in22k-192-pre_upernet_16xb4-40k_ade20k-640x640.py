_base_ = "./swinv2-b-p4-w40-in22k-192-pre_upernet_16xb4-40k_ade20k-640x640.py"

checkpoint = "swinv2://large-w12-192-22k"  # ImageNet-22K, 192 px, window 12
model = dict(
    backbone=dict(arch="large", init_cfg=dict(checkpoint=checkpoint)),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
