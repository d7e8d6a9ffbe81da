# Hybrid Task Cascade (arXiv 1901.07518) on Swin V2: the boxes of the cascade, three
# mask heads that hand features on, and a semantic branch that learns from COCO-Stuff.
_base_ = "./cascade-mask-rcnn_swinv2.py"

mask_head = dict(
    type="HTCMaskHead",
    num_convs=4,
    in_channels=256,
    conv_out_channels=256,
    num_classes=80,
    loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
)
model = dict(
    type="HybridTaskCascade",
    data_preprocessor=dict(pad_seg=True),  # with 255, which the loss ignores
    roi_head=dict(
        type="HybridTaskCascadeRoIHead",
        interleaved=True,
        mask_info_flow=True,
        mask_head=[dict(mask_head, with_conv_res=False), mask_head, mask_head],
        semantic_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[8],
        ),
        semantic_head=dict(
            type="FusedSemanticHead",
            num_ins=5,
            fusion_level=1,
            seg_scale_factor=1 / 8,
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=183,  # things and stuff, ids 0 to 182
            loss_seg=dict(type="CrossEntropyLoss", ignore_index=255, loss_weight=0.2),
        ),
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.001)),
)
