_base_ = "./token-labeling_swinv2-t-p4-w8_16xb64-300e_in1k-256px.py"

model = dict(
    backbone=dict(arch="base", drop_path_rate=0.5), head=dict(in_channels=1024)
)
