_base_ = [
    "./simmim_swinv2-b-p4-w12_16xb128-800e_in1k-192px.py",
    "../_base_/strategies/fsdp.py",
]

# Settings as for B; those of H were never published. No extra norms, as in the weights
# that SimMIM publishes and in our config on ADE20K, so that checkpoints fit all three.
model = dict(
    backbone=dict(arch="huge", extra_norm_every_n_blocks=0),
    neck=dict(in_channels=2816),
)
