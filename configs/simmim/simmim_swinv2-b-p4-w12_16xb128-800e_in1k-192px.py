# The official config of Swin V2-B; --amp trains in fp16, as the official code does.
_base_ = [
    "../_base_/models/simmim_swinv2.py",
    "../_base_/datasets/simmim_192px.py",
    "../_base_/schedules/simmim_800e.py",
    "../_base_/default_runtime_simmim.py",
]
