# DeepSpeed's ZeRO stage 1, as the paper trains G (section 3.5), in fp32. Needs
# `pip install deepspeed==0.16.9`. tools/train.py --strategy deepspeed moves the
# clipping of gradients, if any, into `gradient_clipping`; configs of your own must.
runner_type = "FlexibleRunner"
strategy = dict(type="DeepSpeedStrategy", zero_optimization=dict(stage=1))
optim_wrapper = dict(type="DeepSpeedOptimWrapper")
