# Mask2Former for instances on Swin V2-T: head, losses and queries of its paper
# (arXiv 2112.01527), as MMDetection implements it, 80 classes.
num_classes = 80
ffn_cfg = dict(
    embed_dims=256, num_fcs=2, ffn_drop=0.0, act_cfg=dict(type="ReLU", inplace=True)
)
attn_cfg = dict(embed_dims=256, num_heads=8, dropout=0.0, batch_first=True)
model = dict(
    type="Mask2Former",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
    ),
    backbone=dict(
        type="mmswinv2.SwinTransformerV2",
        arch="tiny",
        window_size=16,  # tokens
        drop_path_rate=0.3,  # as Swin V1 under Mask2Former
        out_indices=(0, 1, 2, 3),
    ),
    panoptic_head=dict(
        type="Mask2FormerHead",
        in_channels=[96, 192, 384, 768],
        strides=[4, 8, 16, 32],
        feat_channels=256,
        out_channels=256,
        num_things_classes=num_classes,
        num_stuff_classes=0,
        num_queries=100,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type="MSDeformAttnPixelDecoder",
            num_outs=3,
            norm_cfg=dict(type="GN", num_groups=32),
            act_cfg=dict(type="ReLU"),
            encoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(num_levels=3, num_points=4, **attn_cfg),
                    ffn_cfg=dict(feedforward_channels=1024, **ffn_cfg),
                ),
            ),
            positional_encoding=dict(num_feats=128, normalize=True),
        ),
        enforce_decoder_input_project=False,
        positional_encoding=dict(num_feats=128, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=9,
            layer_cfg=dict(
                self_attn_cfg=attn_cfg,
                cross_attn_cfg=attn_cfg,
                ffn_cfg=dict(feedforward_channels=2048, **ffn_cfg),
            ),
        ),
        loss_cls=dict(
            type="CrossEntropyLoss",
            use_sigmoid=False,
            loss_weight=2.0,
            class_weight=[1.0] * num_classes + [0.1],  # last: no object
        ),
        loss_mask=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=5.0),
        loss_dice=dict(
            type="DiceLoss",
            use_sigmoid=True,
            activate=True,
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
    ),
    panoptic_fusion_head=dict(
        type="MaskFormerFusionHead",
        num_things_classes=num_classes,
        num_stuff_classes=0,
        loss_panoptic=None,
    ),
    train_cfg=dict(
        num_points=12544,  # 112 x 112 points of a mask are compared
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type="HungarianAssigner",
            match_costs=[
                dict(type="ClassificationCost", weight=2.0),
                dict(type="CrossEntropyLossCost", weight=5.0, use_sigmoid=True),
                dict(type="DiceCost", weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type="MaskPseudoSampler"),
    ),
    test_cfg=dict(
        panoptic_on=False,
        semantic_on=False,
        instance_on=True,
        max_per_image=100,
        iou_thr=0.8,
        filter_low_score=True,
    ),
)
