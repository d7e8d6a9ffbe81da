_base_ = "./simmim_swinv2-b-p4-w12_16xb128-800e_in1k-192px.py"

# Settings as for B; those of L were never published.
model = dict(backbone=dict(arch="large"), neck=dict(in_channels=1536))
