# Ours: the paper has no video model but G. Settings after Video Swin V1-S.
_base_ = "./swinv2-t-p2x4x4-w8x7x7-in1k-256-pre_8xb8-30e_kinetics400-32x2-224px.py"

checkpoint = "swinv2://small-w8-256"
model = dict(backbone=dict(arch="small", init_cfg=dict(checkpoint=checkpoint)))
