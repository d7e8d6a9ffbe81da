"""Mixed precision where mmengine has none: CPUs, Intel's and Apple's GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmswinv2.registry import OPTIM_WRAPPERS

PARTS = ("backbone", "neck")


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """An optimizer wrapper under which backbones and necks run in bf16.

    bf16 has the range of fp32, so losses are not scaled. Heads and losses stay in fp32:
    the operators of mmcv and scipy that they use take nothing else on these devices.
    Arguments are those of mmengine's ``OptimWrapper``.

    Examples:
        >>> optim_wrapper = dict(
        ...     type="mmswinv2.Bf16OptimWrapper", optimizer=dict(type="AdamW"))
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast of parts, within the context of accumulated gradients."""
        autocast = torch.autocast(get_device(), torch.bfloat16)

        def enter(*_: Any) -> None:
            autocast.__enter__()

        def leave(module: nn.Module, args: tuple, out: Any) -> Any:
            autocast.__exit__(None, None, None)
            if isinstance(out, Tensor):
                return out.float()
            return None if out is None else type(out)(map(Tensor.float, out))

        hooks, parts = [], []
        for name, module in model.named_modules():
            if name.split(".")[-1] in PARTS:
                parts.append(module)
                module.autocast_dtype = torch.bfloat16  # for what shall run likewise
                hooks.append(module.register_forward_pre_hook(enter))
                hooks.append(module.register_forward_hook(leave, always_call=True))
        try:
            with super().optim_context(model):
                yield
        finally:
            for hook in hooks:
                hook.remove()
            for module in parts:
                del module.autocast_dtype
