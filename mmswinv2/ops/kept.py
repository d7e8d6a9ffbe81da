"""Constants that are made once and kept, and who may be watching operators."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def is_watched() -> bool:
    """Whether something other than eager autograd sees the operators that run.

    A compiler, exporter or tracer, a functional transform such as ``vmap``, or a
    dispatch mode: fake tensors, selective checkpointing, a counter of FLOPs.
    """
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or is_transformed()
        or torch._C._len_torch_dispatch_stack() > 0
    )


def is_transformed() -> bool:
    """Whether a functional transform such as ``vmap`` runs."""
    return torch._C._are_functorch_transforms_active()


def may_keep() -> bool:
    """Whether a tensor made now may serve later calls.

    What is made while a CUDA graph is captured has no values before the graph runs, and
    lies in the memory of the graph.
    """
    return not (_is_capturing() or is_watched())


def _is_capturing() -> bool:
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


_held: list[object] = []  # what CUDA graphs read


def served(value: T) -> T:
    """A kept value, for use; what a CUDA graph is captured with is never freed."""
    if _is_capturing():
        _held.append(value)
    return value


_FAKE = torch._C._TorchDispatchModeKey.FAKE


def _fake_mode() -> object:
    """The mode of tensors without values, which takes no real ones."""
    return torch._C._get_dispatch_mode(_FAKE)


def kept(limit: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep the last ``limit`` results of a function that makes constants on a device.

    As ``functools.lru_cache``, for tensors: they are usable by autograd even if first
    made in inference mode, and nothing is kept that :func:`may_keep` forbids. Results
    must not be changed in place.

    Args:
        limit (int): Number of results.
    """

    def decorate(make: Callable[..., T]) -> Callable[..., T]:
        results: dict[tuple, T] = {}
        storing = threading.Lock()

        @wraps(make)
        def get(*args: Any) -> T:
            if torch.compiler.is_compiling() or _fake_mode() is not None:
                return make(*args)
            try:
                return served(results[args])
            except KeyError:
                pass
            with torch.inference_mode(False):
                result = make(*args)
            if may_keep():
                with storing:
                    while len(results) >= limit:
                        results.pop(next(iter(results)))
                    results[args] = result
            return result

        return get

    return decorate
