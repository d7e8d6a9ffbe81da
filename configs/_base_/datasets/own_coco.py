# One's own data in COCO's format, at one scale. tools/new_config.py writes configs on
# it, which give the files, the classes and the scale.
_base_ = "./coco_instance.py"

train_dataloader = dict(
    sampler=dict(type="InfiniteSampler"),  # the schedule counts iterations
    # COCO's configs leave pictures under 32 px out; ours need a pixel
    dataset=dict(data_root="", filter_cfg=dict(min_size=1)),
)
val_dataloader = dict(dataset=dict(data_root=""))
test_dataloader = val_dataloader
