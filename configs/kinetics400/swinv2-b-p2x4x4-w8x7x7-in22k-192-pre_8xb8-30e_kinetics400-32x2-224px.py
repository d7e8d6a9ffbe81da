# Ours: the paper has no video model but G. Settings after Video Swin V1-B with weights
# of ImageNet-22K.
_base_ = "./swinv2-b-p2x4x4-w8x7x7-in1k-256-pre_8xb8-30e_kinetics400-32x2-224px.py"

checkpoint = "swinv2://base-w12-192-22k"
model = dict(backbone=dict(drop_path_rate=0.2, init_cfg=dict(checkpoint=checkpoint)))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
