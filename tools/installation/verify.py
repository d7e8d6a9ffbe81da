"""Run in a new environment: fails unless the stack works in it."""

import mmdet.apis  # noqa: F401
import mmseg.apis  # noqa: F401
import torch
from mmcv.ops import nms, roi_align

import mmswinv2.models  # noqa: F401

box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
nms(box, torch.ones(1), 0.5)
roi_align(torch.ones(1, 1, 8, 8), torch.cat([torch.zeros(1, 1), box], dim=1), 2)
