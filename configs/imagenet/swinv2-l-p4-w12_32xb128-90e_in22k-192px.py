_base_ = "./swinv2-b-p4-w12_32xb128-90e_in22k-192px.py"

model = dict(backbone=dict(arch="large"), head=dict(in_channels=1536))
