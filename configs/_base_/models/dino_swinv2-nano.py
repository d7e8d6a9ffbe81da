# DINO that trains on a CPU: Swin V2 'nano', a third of the layers and of the queries.
_base_ = "./dino_swinv2.py"

model = dict(
    num_queries=300,
    backbone=dict(arch="nano", drop_path_rate=0.0),
    neck=dict(in_channels=[64, 128, 256]),
    encoder=dict(num_layers=2),
    decoder=dict(num_layers=2),
)
