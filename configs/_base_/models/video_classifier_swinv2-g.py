# The classifier of clips in size G. Of it the paper says no more than that. Ours: mixup
# and label smoothing, as the official code fine-tunes on images, and drop path, as the
# paper has it for G on ADE20K.
_base_ = "./video_classifier_swinv2.py"

model = dict(
    max_testing_views=1,
    backbone=dict(
        arch="giant",
        drop_path_rate=0.4,
        with_cp=True,
        # No init_cfg: the weights of G were never published. Set it to weights of your
        # own, of images or videos; without, training starts from noise.
    ),
    head=dict(
        in_channels=4096,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8)]),
)
