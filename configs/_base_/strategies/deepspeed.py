# DeepSpeed's ZeRO stage 1, as the paper trains G (section 3.5), in fp32. Needs
# `pip install deepspeed==0.16.9`. tools/train.py --strategy deepspeed moves the clipping of
# gradients, if any, into `gradient_clipping`; in a config of your own, do so.
runner_type = "FlexibleRunner"
strategy = dict(type="DeepSpeedStrategy", zero_optimization=dict(stage=1))
optim_wrapper = dict(type="DeepSpeedOptimWrapper")
