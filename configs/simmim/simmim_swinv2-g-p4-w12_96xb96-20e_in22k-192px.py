_base_ = [
    "../_base_/models/simmim_swinv2.py",
    "../_base_/datasets/simmim_192px.py",
    "../_base_/schedules/simmim_800e.py",
    "../_base_/default_runtime_simmim.py",
    "../_base_/strategies/fsdp.py",
]

# The paper's first stage of G, appendix A2.2. It states no window, stochastic depth or
# normalised target: ours are those of the official config of B.
model = dict(backbone=dict(arch="giant"), neck=dict(in_channels=4096))
# The paper has 70 million pictures of its own, so 152000 iterations; the 14 million of
# ImageNet-22K give 31000 in 20 epochs, and as many as the paper's in 99.
data_root = "data/imagenet22k/fall11_whole"
train_dataloader = dict(
    batch_size=96,  # pictures per GPU, 96 GPUs
    dataset=dict(data_root=data_root),
)
optim_wrapper = dict(
    optimizer=dict(lr=1.4e-3, weight_decay=0.1), clip_grad=dict(max_norm=100.0)
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=5e-3,  # ours, as for B
        by_epoch=True,
        begin=0,
        end=4,  # epochs: the paper's 30000 iterations of 9216 pictures
        convert_to_iter_based=True,
    ),
    # both factors apply; to 0, as the paper states no end
    dict(type="CosineAnnealingLR", begin=0, end=20, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=20)
auto_scale_lr = dict(base_batch_size=9216)
default_hooks = dict(checkpoint=dict(interval=1))
