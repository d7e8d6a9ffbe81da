# HTC++: HTC with global self-attention on the last map, and soft-NMS (Swin V1's paper,
# appendix A2; Swin V2's, appendix A1). Neither publishes the attention's code; a whole
# block, MLP included, brings B and L to the 160 M and 284 M parameters that V1 reports.
_base_ = "./htc_swinv2.py"

model = dict(
    backbone=dict(
        arch="base",
        window_size=32,  # tokens (paper)
        with_cp=True,
    ),
    neck=[
        dict(type="mmswinv2.GlobalAttention", in_channels=1024, num_heads=32),
        dict(
            type="FPN", in_channels=[128, 256, 512, 1024], out_channels=256, num_outs=5
        ),
    ],
    # the paper does not state soft-NMS's numbers; these are Cascade's and mmcv's
    test_cfg=dict(rcnn=dict(nms=dict(type="soft_nms", iou_threshold=0.5))),
)
