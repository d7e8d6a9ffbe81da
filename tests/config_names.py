"""How configs are named: OpenMMLab's grammar."""

from pathlib import Path

SIZE = "(nano|[tsblhg])-p4"
# <model>_<backbone>-<size>-p4-w<window>[-<pre-training>][_fpn]_
# [<GPUs>xb<batch>-][<augmentation>-]<schedule>_<data>
DET_NAME = (
    r"((cascade-)?mask-rcnn|retinanet|dino-\dscale|mask2former|"
    rf"htc(\+\+)?(-without-semantic)?)_swinv2-{SIZE}-w\d+(-in22k)?(_fpn)?_"
    r"((\d+xb\d-)?(ms-crop-|(instaboost-)?lsj-)?(\dx|\d+[ek])_coco|mini-\d+px)"
)
# <backbone>-<size>-p4-w<window>[-<pre-training>-pre]_<model>_<schedule>_<data>-<crop>
SEG_NAME = (
    rf"swinv2-{SIZE}-w\d+(-(in1k|(simmim-|in)22k)-\d+-pre)?_(upernet|mask2former)_"
    r"(\d+xb\d-\d+k_ade20k-\d+x\d+(-to-\d+x\d+)?|mini-\d+px)"
)
# <backbone>-<size>-p4-w<window>[-<pre-training>-pre]_<GPUs>xb<batch>-<epochs>_<data>
SCHEDULE = r"\d+xb\d+-\d+e_in(1k|22k)-\d+px"
CLS_NAME = rf"swinv2-{SIZE}-w\d+(-(in22k|simmim-1k)-192-pre)?_{SCHEDULE}"
TOKEN_NAME = rf"token-labeling_swinv2-{SIZE}-w\d+(-in1k-256-pre)?_{SCHEDULE}"
SIMMIM_NAME = rf"simmim_swinv2-{SIZE}-w\d+_{SCHEDULE}"
# fd-<teacher>_<student>..., and what is fine-tuned from it, as a classifier
TEACHERS = "(clip-vit-[bl]|dino-vit-b|deit-b|swinv2-[bg])"
FD_NAME = (
    rf"(fd-{TEACHERS}_swinv2-{SIZE}-w\d+|swinv2-{SIZE}-w\d+-fd-1k-224-pre)_{SCHEDULE}"
)
# <backbone>-<size>-p<patch>-w<window>[-<pre-training>-pre]_<GPUs>xb<batch>-<epochs>_
# <data>-<frames>x<interval>-<crop>
VIDEO_NAME = (
    r"swinv2-(nano|[tsbg])-p2x4x4-w\d+x\d+x\d+(-in(1k|22k)-\d+-pre)?_"
    r"(\d+xb\d+-\d+e_kinetics400-\d+x\d-\d+px(-to-\d+px)?|mini-clips-\d+px)"
)
MMPRETRAIN_NAMES = dict(
    imagenet=CLS_NAME,
    simmim=SIMMIM_NAME,
    feature_distillation=FD_NAME,
    token_labeling=TOKEN_NAME,
    kinetics400=VIDEO_NAME,
    mini=VIDEO_NAME,
)


def grammar(path: Path, scope: str) -> str:
    """The pattern of a config's name, by its folder and its default scope."""
    if scope == "mmpretrain":
        return MMPRETRAIN_NAMES[path.parent.name]
    return DET_NAME if scope == "mmdet" else SEG_NAME
