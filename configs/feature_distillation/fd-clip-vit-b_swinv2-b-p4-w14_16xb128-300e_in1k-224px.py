# The published student, recipe and teacher, but not as a pair: the paper's Swin V2-B
# learns from EsViT's Swin-B, which timm does not have, and CLIP's ViT-B/16 teaches a
# ViT-B. --amp trains in fp16, as the official code does.
_base_ = [
    "../_base_/models/feature_distillation_swinv2.py",
    "../_base_/datasets/feature_distillation_224px.py",
    "../_base_/schedules/feature_distillation_300e.py",
    "../_base_/default_runtime_fd.py",
]

model = dict(
    teacher=dict(type="mmswinv2.TimmTeacher", model="vit_base_patch16_clip_224.openai")
)
