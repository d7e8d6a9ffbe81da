_base_ = "./simmim_swinv2-b-p4-w12_16xb128-800e_in1k-192px.py"

# Settings as for B; nobody has published any for T.
model = dict(backbone=dict(arch="tiny"), neck=dict(in_channels=768))
