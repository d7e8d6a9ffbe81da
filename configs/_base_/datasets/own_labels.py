# One's own pictures with label maps. tools/new_config.py writes configs on it, which
# give the folders, the classes and the sizes. Crops as for ADE20K.
_base_ = "./ade20k.py"

train_dataloader = dict(dataset=dict(type="BaseSegDataset", data_root=""))
val_dataloader = dict(dataset=dict(type="BaseSegDataset", data_root=""))
test_dataloader = val_dataloader
