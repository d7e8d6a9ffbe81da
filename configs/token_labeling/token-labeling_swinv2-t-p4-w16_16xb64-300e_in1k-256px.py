_base_ = "./token-labeling_swinv2-t-p4-w8_16xb64-300e_in1k-256px.py"

# One window over the 8 x 8 tokens of stage 3, whose bias then counts in these.
model = dict(backbone=dict(window_size=[16, 16, 16, 8]))
