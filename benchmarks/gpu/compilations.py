"""Which Triton kernels a process compiles, and how long each takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def watched() -> Iterator[list[tuple[str, float]]]:
    """Name and seconds of kernels that the body compiles or finds in a cache.

    Only kernels that are called by ``kernel[grid](...)``: those of ``torch.compile``
    go another way. In the interpreter there are none.
    """
    import triton

    found: list[tuple[str, float]] = []
    begins: list[float] = []

    def before(*args: object, **kwargs: object) -> None:
        begins.append(time.perf_counter())

    def after(*args: object, **kwargs: object) -> None:
        name = kwargs["fn"].name.rpartition(".")[2]
        found.append((name, time.perf_counter() - begins[-1]))

    if hasattr(triton, "knobs"):
        place, names = triton.knobs.runtime, ("jit_cache_hook", "jit_post_compile_hook")
    else:  # before Triton 3.4
        place, names = triton.JITFunction, ("cache_hook", "compiled_hook")
    kept = [getattr(place, name) for name in names]
    for name, hook in zip(names, (before, after)):
        setattr(place, name, hook)
    try:
        yield found
    finally:
        for name, hook in zip(names, kept):
            setattr(place, name, hook)
