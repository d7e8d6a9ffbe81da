"""What a frozen teacher takes beside the model that learns from it.

It sees the pictures before the student does, in a forward pass that keeps nothing.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .saved_tensors import CudaAutocast


class FrozenMap(nn.Module):
    """Stands for a teacher: zeros of the shape of its map.

    Args:
        shape (tuple[int, ...]): ``(D, h, w)``.
        input_size (tuple[int, int]): Of pictures in px.
    """

    def __init__(self, shape: tuple[int, ...], input_size: tuple[int, ...]) -> None:
        super().__init__()
        self.identity = dict(name="teacher", weights="")
        self.shape, self.input_size = shape, input_size
        self.channels = shape[0]
        self.identity = dict(name="zeros", weights="")

    def features(self, images: Tensor) -> Tensor:
        """The maps of any images."""
        return images.new_zeros(len(images), *self.shape)


class LiveBytes(TorchDispatchMode):
    """Counts bytes of the tensors that are made within and alive at the same time.

    Attributes:
        peak (int): The most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._seen: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        func: Callable,
        types: tuple,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> object:
        """Called by torch for every operator."""
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):  # from outside, or made before
                self._seen.add(tensor.untyped_storage())
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        self.peak = max(self.peak, self._now)
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._seen:
            self._seen.add(storage)
            self._now += storage.nbytes()
            weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self._now -= size


def teacher_memory(
    teacher: Any, images: tuple[int, ...], *, amp: bool
) -> tuple[int, tuple[int, ...]]:
    """What the forward pass of a teacher takes, without running it.

    Args:
        teacher (nn.Module): With ``features``, on any device; it is not changed.
        images (tuple[int, ...]): ``(B, 3, H, W)``.
        amp (bool): Whether it runs under autocast.

    Returns:
        tuple[int, tuple[int, ...]]: Bytes at the peak, weights excluded, and the shape
        ``(D, h, w)`` of a map.
    """
    teacher = copy.deepcopy(teacher).eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        teacher.to_empty(device="cpu")
        pictures = torch.empty(images)
        with (
            CudaAutocast(),
            torch.autocast("cpu", torch.bfloat16, enabled=amp),
            LiveBytes() as live,
        ):
            features = teacher.features(pictures)
    return live.peak, tuple(features.shape[1:])
