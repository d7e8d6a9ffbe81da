# One's own pictures with label maps, crops as for ADE20K. tools/new_config.py writes
# configs on it, which say where the data are, their classes and every number.
_base_ = [
    "../datasets/ade20k.py",
    "./schedule.py",
    "../default_runtime_seg.py",
]

train_dataloader = dict(dataset=dict(type="BaseSegDataset", data_root=""))
val_dataloader = dict(dataset=dict(type="BaseSegDataset", data_root=""))
test_dataloader = val_dataloader
