"""Modules that nobody watches or changes."""

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize

from mmswinv2.models.plain_modules import is_plain


class Other(nn.LayerNorm):
    """May do anything."""


def own_forward(norm):
    norm.forward = lambda x: x


@pytest.mark.parametrize(
    "watch",
    [
        lambda norm: norm.register_forward_hook(print),
        lambda norm: norm.register_forward_hook(print, always_call=True),
        lambda norm: norm.register_forward_pre_hook(print, with_kwargs=True),
        lambda norm: norm.register_full_backward_hook(print),
        lambda norm: norm.register_full_backward_pre_hook(print),
        own_forward,
        lambda norm: parametrize.register_parametrization(norm, "bias", nn.Tanh()),
        lambda norm: nn.utils.weight_norm(norm, dim=None),
        lambda norm: setattr(norm, "__class__", Other),
    ],
)
def test_watched_and_changed_modules_are_not_plain(watch):
    norm = nn.LayerNorm(8)
    assert is_plain(norm, nn.LayerNorm)
    handle = watch(norm)
    assert not is_plain(norm, nn.LayerNorm)
    if isinstance(handle, torch.utils.hooks.RemovableHandle):
        handle.remove()
        assert is_plain(norm, nn.LayerNorm)


def test_the_class_must_be_the_very_one():
    assert not is_plain(Other(8), nn.LayerNorm)
    assert is_plain(Other(8), Other)
    assert not is_plain(nn.Identity(), nn.LayerNorm)


@pytest.mark.parametrize(
    "name",
    [
        "register_module_forward_hook",
        "register_module_forward_pre_hook",
        "register_module_full_backward_hook",
        "register_module_full_backward_pre_hook",
    ],
)
def test_hooks_of_all_modules_watch_each(name):
    norm = nn.LayerNorm(8)
    handle = getattr(torch_module, name)(lambda *_: None)
    try:
        assert not is_plain(norm, nn.LayerNorm)
    finally:
        handle.remove()
    assert is_plain(norm, nn.LayerNorm)
