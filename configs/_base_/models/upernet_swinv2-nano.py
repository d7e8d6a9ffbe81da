# UPerNet that trains on a CPU: Swin V2 'nano', a slim head, no auxiliary one.
_base_ = "./upernet_swinv2.py"

model = dict(
    backbone=dict(arch="nano", drop_path_rate=0.0),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64, dropout_ratio=0.0),
    auxiliary_head=None,  # it would take a third of a step's time
)
