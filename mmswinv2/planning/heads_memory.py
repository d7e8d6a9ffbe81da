"""What the necks and heads of a config keep and compute, counted in a forward pass.

The backbone is replaced by maps of its shapes, products by zeros, and what is saved is
freed at once: so the count runs on a CPU at the real size of the batch.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import NamedTuple
from unittest.mock import patch

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .memory_model import Training
from .saved_tensors import CudaAutocast, SavedBytes, ZeroProducts
from .teacher_memory import FrozenMap, teacher_memory
from .training_batch import make_batch


class Heads(NamedTuple):
    """What necks, heads and losses take for a batch.

    Attributes:
        kept (int): Bytes that they keep for the backward pass.
        largest (int): Bytes of the largest tensor of these.
        convolutions (int): FLOPs of a forward pass, two for a multiply-add.
        products (int): FLOPs of linear layers and other matrix products.
    """

    kept: int
    largest: int
    convolutions: int
    products: int


class Maps(nn.Module):
    """Stands for a backbone: zeros of the shapes of its outputs, with a gradient."""

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.shapes = shapes

    def forward(self, x: Tensor, *more: object) -> tuple[Tensor, ...]:
        """Maps for any image, and whatever its tokens are masked or mixed by."""
        maps = (torch.zeros(shape, requires_grad=True) for shape in self.shapes)
        return tuple(m * 1.0 for m in maps)


class _DeformableAttention(torch.autograd.Function):
    """Keeps what mmcv's CUDA kernel keeps, which CPUs do not have."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        value: Tensor,
        shapes: Tensor,
        locations: Tensor,
        weights: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(value, shapes, locations, weights)
        return value.new_zeros(*locations.shape[:2], value.shape[2] * value.shape[3])


class _FocalLoss(torch.autograd.Function):
    """Keeps what mmcv's CUDA kernel keeps, which CPUs do not have."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, pred: Tensor, target: Tensor
    ) -> Tensor:
        ctx.save_for_backward(pred, target)
        return torch.zeros_like(pred)


def _focal_loss(
    pred: Tensor, target: Tensor, *args: object, **kwargs: object
) -> Tensor:
    return _FocalLoss.apply(pred, target).sum()


def build_heads(cfg: Config, training: Training) -> BaseModel:
    """The model of a config, with random weights and without its backbones' blocks."""
    init_default_scope(cfg.default_scope)
    shapes = [
        (training.batch, training.arch.embed_dims * 2**i, *training.maps[i])
        for i in training.out_indices
    ]
    model = copy.deepcopy(cfg.model)
    model.backbone = dict(type=Maps, shapes=shapes)
    for neck in necks(model):
        if neck.type == "mmswinv2.GlobalAttention":
            neck.clear()
            neck.type = nn.Identity
    if model.get("teacher"):
        with torch.device("meta"):
            teacher = MODELS.build(model.teacher)
        _, shape = teacher_memory(teacher, (1, 3, *training.image), amp=False)
        model.teacher = FrozenMap(shape, training.image)
    return revert_sync_batchnorm(MODELS.build(model)).train()


def necks(model: dict) -> list[dict]:
    """Configs of the necks of a model."""
    given = model.get("neck") or []
    return given if isinstance(given, list) else [given]


def heads_memory(cfg: Config, training: Training, *, amp: bool) -> Heads:
    """What necks, heads and losses keep and compute for a batch.

    Operators without products, RoIAlign and deformable sampling among them, have no
    FLOPs here.

    Args:
        cfg (Config): Of the model.
        training (Training): Of its backbone.
        amp (bool): Whether they run under autocast.

    Returns:
        Heads: Bytes and FLOPs.
    """
    torch.manual_seed(0)
    model = build_heads(cfg, training)
    images, samples = make_batch(cfg, training.batch, training.image)
    attention = "mmcv.ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch"
    focal = "mmdet.models.losses.focal_loss.py_sigmoid_focal_loss"
    with ExitStack() as stack:
        # Batch norm of one image and one token: over all GPUs there are more.
        stack.enter_context(patch.object(F, "_verify_batch_size", lambda size: None))
        stack.enter_context(patch(attention, _DeformableAttention.apply))
        # Its output is made before it is called; in 16 bits CPUs do not have it.
        stack.enter_context(patch("mmcv._ext.roi_align_forward", lambda *a, **k: None))
        if cfg.default_scope == "mmdet":
            stack.enter_context(patch(focal, _focal_loss))
        stack.enter_context(ZeroProducts())
        stack.enter_context(CudaAutocast())
        stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=amp))
        tensors = [*model.parameters(), *model.buffers()]
        count = stack.enter_context(SavedBytes(tensors, forget=True))
        flops = stack.enter_context(FlopCounterMode(display=False))
        model.loss(images, samples)
    by_operator = flops.get_flop_counts().get("Global", {})
    convolutions = by_operator.get(torch.ops.aten.convolution, 0)
    products = sum(by_operator.values()) - convolutions
    return Heads(count.total, count.largest, convolutions, products)
