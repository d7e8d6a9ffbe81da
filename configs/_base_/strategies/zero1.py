# ZeRO stage 1 in PyTorch alone: every GPU keeps its part of the optimizer state, which
# for AdamW is twice the size of the parameters (paper, section 3.5: 3 billion of them
# and AdamW take 48 GB without it). tools/train.py --strategy zero1
runner_type = "FlexibleRunner"
strategy = dict(type="mmswinv2.ZeRO1Strategy")
