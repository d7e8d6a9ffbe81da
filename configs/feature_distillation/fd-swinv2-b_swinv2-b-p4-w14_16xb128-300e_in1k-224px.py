_base_ = "./fd-clip-vit-b_swinv2-b-p4-w14_16xb128-300e_in1k-224px.py"

# A teacher of the student's own grid, as in the published pair: Swin V2-B of ImageNet-
# 22K, published weights. Its windows of 16 shrink to the maps of 224 px.
model = dict(
    teacher=dict(
        _delete_=True,
        type="mmswinv2.ConfigTeacher",
        config="swinv2-b-p4-w16-in22k-192-pre_16xb64-30e_in1k-256px",
        weights="swinv2://base-w12to16-256-22k-ft1k",
    )
)
