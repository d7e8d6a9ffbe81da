_base_ = [
    "../_base_/models/classifier_swinv2.py",
    "../_base_/datasets/imagenet_256px.py",
    "../_base_/schedules/imagenet_300e.py",
    "../_base_/default_runtime_cls.py",
]
