"""Models made of operators that torch.export and ONNX know, at sizes that may vary."""

import copy

from mmengine.model import revert_sync_batchnorm
from torch import nn

from mmswinv2.models.global_attention import GlobalAttention
from mmswinv2.models.swin_transformer_v2 import SwinTransformerV2

from .backbone import PortableBackbone, PortableGlobalAttention
from .pooling import AveragePool


def portable(model: nn.Module, *, dynamic: bool) -> nn.Module:
    """A copy of a model that can be exported.

    Its Swin V2 backbones, global attention and adaptive pools compute the same by plain
    operators. Position biases are baked: the copy follows neither weights nor windows
    that are changed later.

    Args:
        model (nn.Module): A backbone, or whatever contains one. It is left as it is.
        dynamic (bool): Whether the height and width of images shall be symbols, so that
            the exported program takes images of any size.

    Returns:
        nn.Module: In eval mode and fp32, on the device of ``model``.

    Raises:
        ValueError: If a part cannot be exported, or not at sizes that vary.
    """
    model = revert_sync_batchnorm(copy.deepcopy(model)).float()
    return _replaced(model, dynamic).eval().requires_grad_(False)


def _replaced(module: nn.Module, dynamic: bool) -> nn.Module:
    if isinstance(module, SwinTransformerV2):
        return PortableBackbone(module, dynamic=dynamic)
    if isinstance(module, GlobalAttention):
        return PortableGlobalAttention(module, dynamic=dynamic)
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size is not None:
        return AveragePool(module.output_size)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, dynamic))
    return module
