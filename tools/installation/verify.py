"""Run in a new environment: fails unless the stack works in it."""
# ruff: noqa: F401, I001  (pretraining first: it protects the hosts from transformers 5)

import mmswinv2.pretraining
import av
import gradio
import mmdet.apis
import mmseg.apis
import onnx
import onnxruntime
import onnxscript
import torch
from mmcv.ops import nms, roi_align

box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
nms(box, torch.ones(1), 0.5)
roi_align(torch.ones(1, 1, 8, 8), torch.cat([torch.zeros(1, 1), box], dim=1), 2)
