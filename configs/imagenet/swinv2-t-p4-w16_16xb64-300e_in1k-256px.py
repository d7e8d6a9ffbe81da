_base_ = "./swinv2-t-p4-w8_16xb64-300e_in1k-256px.py"

model = dict(backbone=dict(window_size=16))
