# One's own data in COCO's format, with masks, at one scale. tools/new_config.py writes
# configs on it, which say where the data are, their classes and every number.
_base_ = [
    "../datasets/coco_instance.py",
    "./schedule.py",
    "../default_runtime_det_iters.py",
]

train_dataloader = dict(
    sampler=dict(type="InfiniteSampler"),  # the schedule counts iterations
    # COCO's configs leave pictures under 32 px out; one's own may be small
    dataset=dict(data_root="", filter_cfg=dict(min_size=1)),
)
val_dataloader = dict(dataset=dict(data_root=""))
test_dataloader = val_dataloader
