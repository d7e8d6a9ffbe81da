"""Parameters of models and FLOPs of backbones, without allocating either."""

from __future__ import annotations

import copy

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode


def build_without_memory(cfg: Config) -> nn.Module:
    """The model of a config on the meta device."""
    init_default_scope(cfg.default_scope)
    model = copy.deepcopy(cfg.model)
    model.backbone.update(attention="reference", init_cfg=None)  # it has every product
    with torch.device("meta"):
        return MODELS.build(model)


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(backbone: nn.Module, size: tuple[int, ...]) -> int:
    """Multiply-adds of matrix products and convolutions in one forward pass.

    The unit is that of the papers of Swin: a multiply-add is one FLOP. Padding and the
    position bias count too.

    Args:
        backbone (nn.Module): On the meta device; it is not changed.
        size (tuple[int, ...]): Height and width of one image, in px; of a clip frames
            before them.
    """
    backbone = copy.deepcopy(backbone).eval().requires_grad_(False)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        backbone.to_empty(device="cpu")
        image = torch.empty(1, 3, *size)
        with FlopCounterMode(display=False) as counter:
            backbone(image)
    return counter.get_total_flops() // 2
