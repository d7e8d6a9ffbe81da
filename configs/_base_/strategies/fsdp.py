# Shards parameters, gradients and optimizer state over all GPUs (torch's fully_shard,
# of torch 2.6 and newer), one unit per block of the backbone; blocks are recomputed in
# the backward pass. For H and G.
# tools/train.py --strategy fsdp, or a further base of a config.
runner_type = "FlexibleRunner"
strategy = dict(
    type="mmswinv2.FSDPStrategy",
    # heads stay in fp32: RoI and deformable operators have no bfloat16 kernels
    backbone_dtype="bfloat16",
    with_cp=True,
)
