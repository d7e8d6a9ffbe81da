"""Modules that nobody watches or changes, whose work may be done in another way."""

from typing import TypeGuard, TypeVar

from torch import nn
from torch.nn.modules import module as torch_module

Kind = TypeVar("Kind", bound=nn.Module)


def is_plain(module: nn.Module, kind: type[Kind]) -> TypeGuard[Kind]:
    """Whether calling a module is nothing but the ``forward`` of its class.

    A subclass (of parametrisations, FSDP or the user's own), hooks of the module or of
    all modules, and a ``forward`` of its own say no: they are to see every call.

    Args:
        module (nn.Module): The module.
        kind (type): The class that it must be an instance of, exactly.
    """
    return type(module) is kind and not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
        or torch_module._has_any_global_hook()
    )
