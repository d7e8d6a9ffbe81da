"""Triton's interpreter without work that it repeats, for kernels that run on a CPU.

Two thirds of its time go into patching ``triton.language`` anew in every call of one
kernel function by another, though the outer call has patched it, and into checks for
sums and products beyond 32 bits, which small maps cannot have. Numbers stay the same.
"""

from collections.abc import Callable

import triton.language as tl
from triton.runtime import interpreter


def leave_out_repeats() -> None:
    """Make the interpreter quick in this process, where this Triton is known."""
    builder = getattr(interpreter, "interpreter_builder", None)
    if hasattr(getattr(builder, "options", None), "sanitize_overflow"):
        object.__setattr__(builder.options, "sanitize_overflow", False)
    scope = getattr(interpreter, "_LangPatchScope", None)
    if scope is None or hasattr(interpreter._patch_lang, "__wrapped__"):
        return
    patch_lang = interpreter._patch_lang

    def patch_lang_once(fn: Callable) -> object:
        modules = [m for m in fn.__globals__.values() if m is tl or m is tl.core]
        patched = not any(tl.core.is_builtin(module.arange) for module in modules)
        return scope() if modules and patched else patch_lang(fn)

    patch_lang_once.__wrapped__ = patch_lang
    interpreter._patch_lang = patch_lang_once
