# The official config, as it is.
_base_ = [
    "../_base_/models/simmim_swinv2.py",
    "../_base_/datasets/simmim_192px.py",
    "../_base_/schedules/simmim_800e.py",
    "../_base_/default_runtime_simmim.py",
]
