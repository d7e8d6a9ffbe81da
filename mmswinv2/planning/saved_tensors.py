"""Counts what autograd keeps of a real forward pass, without a GPU.

Three parts that go together: the counter; products that cost nothing, as only shapes
matter; and the precision of CUDA's autocast on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# What CUDA's autocast runs in fp32, of the operators that models here use; CPU's runs
# some of it in 16 bits.
FP32_FUNCTIONS = {
    *("binary_cross_entropy_with_logits", "cosine_similarity", "cross_entropy"),
    *("cumsum", "exp", "group_norm", "l1_loss", "layer_norm", "log", "log_softmax"),
    *("mse_loss", "nll_loss", "norm", "normalize", "pow", "prod", "reciprocal"),
    *("rsqrt", "smooth_l1_loss", "softmax", "softplus", "sum"),
}
PRODUCTS = {
    torch.ops.aten.addmm,
    torch.ops.aten.baddbmm,
    torch.ops.aten.bmm,
    torch.ops.aten.convolution,
    torch.ops.aten.mm,
}


class SavedBytes(saved_tensors_hooks):
    """Context that counts the bytes of storages that autograd saves, each once.

    Args:
        exclude (Iterable[Tensor]): Tensors not to count, such as parameters.
        forget (bool): Free at once what is saved: there is no backward pass then, and
            the count takes less memory than what is counted. Defaults to False.

    Attributes:
        total (int): Bytes.
        largest (int): Bytes of the largest storage.
    """

    def __init__(self, exclude: Iterable[Tensor], *, forget: bool = False) -> None:
        # A weak reference keeps the address of a freed storage from being used again.
        refs = [StorageWeakRef(x.untyped_storage()) for x in exclude]
        self._seen = {ref.cdata: ref for ref in refs}
        self.total = self.largest = 0
        super().__init__(
            lambda x: self._count(None if forget else x, x.untyped_storage()),
            self._give_back,
        )

    def __enter__(self) -> SavedBytes:  # type: ignore[override]  # for "as"
        super().__enter__()
        return self

    def _count(self, kept: Tensor | None, storage: torch.UntypedStorage) -> Any:
        ref = StorageWeakRef(storage)
        if ref.cdata not in self._seen:
            self._seen[ref.cdata] = ref
            self.total += storage.nbytes()
            self.largest = max(self.largest, storage.nbytes())
        return kept

    @staticmethod
    def _give_back(kept: Tensor | None) -> Tensor:
        if kept is None:
            raise RuntimeError("nothing was saved, so there is no backward pass")
        return kept


class ZeroProducts(TorchDispatchMode):
    """Gives zeros for convolutions and matrix products instead of computing them."""

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> Any:
        """Called by torch for every operator."""
        kwargs = kwargs or {}
        if func.overloadpacket not in PRODUCTS:
            return func(*args, **kwargs)
        shapes = (x.to("meta") if isinstance(x, Tensor) else x for x in args)
        out = func(*shapes, **kwargs)
        size, stride = out.shape, out.stride()
        return torch.empty_strided(size, stride, dtype=out.dtype).zero_()


class CudaAutocast(TorchFunctionMode):
    """Runs under CPU autocast in fp32 what CUDA's autocast runs in fp32.

    What it joins has the widest dtype on CUDA; on CPU, autocast takes no fp16 there.
    """

    def __torch_function__(
        self,
        func: Callable,
        types: tuple,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> Any:
        """Called by torch for every function."""
        name = getattr(func, "__name__", "")
        if name in ("cat", "stack"):
            with torch.autocast("cpu", enabled=False):
                return func(*args, **(kwargs or {}))
        if name in FP32_FUNCTIONS and torch.is_autocast_enabled("cpu"):
            args = tuple(_to_fp32(x) for x in args)
        return func(*args, **(kwargs or {}))


def _to_fp32(x: Any) -> Any:
    is_half = isinstance(x, Tensor) and x.dtype in (torch.float16, torch.bfloat16)
    return x.float() if is_half else x
