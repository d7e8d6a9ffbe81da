_base_ = "./swinv2-t-p4-w8-in1k-256-pre_upernet_8xb2-160k_ade20k-512x512.py"

# Table 1 of the paper carries the weights of window 8 at 256 px to window 32. Stage 4
# has 16 x 16 tokens in a crop, and windows shrink to the map.
model = dict(backbone=dict(window_size=32))
