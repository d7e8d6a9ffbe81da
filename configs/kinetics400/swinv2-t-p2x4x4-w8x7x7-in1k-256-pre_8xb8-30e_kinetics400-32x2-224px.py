# Ours: the paper has no video model but G. Settings after Video Swin V1-T.
_base_ = [
    "../_base_/models/video_classifier_swinv2.py",
    "../_base_/datasets/kinetics400_32x2-224px.py",
    "../_base_/schedules/kinetics400_30e.py",
    "../_base_/default_runtime_video.py",
]

checkpoint = "swinv2://tiny-w8-256"  # of images, inflated
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
