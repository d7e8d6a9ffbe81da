_base_ = "./fd-clip-vit-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px.py"

# Settings as for B; nobody has published any for S. DINO's ViT-B/16 is a teacher of the
# paper's, of a ViT-B.
model = dict(
    backbone=dict(arch="small"),
    neck=dict(in_channels=768),
    teacher=dict(model="vit_base_patch16_224.dino"),
)
