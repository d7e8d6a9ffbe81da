# Mask R-CNN that trains on a CPU: Swin V2 'nano' and slim heads.
_base_ = "./mask-rcnn_swinv2.py"

model = dict(
    backbone=dict(arch="nano", drop_path_rate=0.0),
    neck=dict(
        in_channels=[32, 64, 128, 256],
        out_channels=64,
        num_outs=4,
        norm_cfg=dict(type="GN", num_groups=8),  # nothing here is pre-trained
    ),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=256),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=500)),
)
