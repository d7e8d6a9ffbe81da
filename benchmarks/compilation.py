"""Compiles Triton kernels for GPUs without having one.

What launches them runs as it would, on CPU tensors; launches are recorded in place of
run, so that what is compiled is exactly what a GPU would get.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel
from triton.runtime.jit import JITFunction

TYPES = {
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.int8: "*i8",
    int: "i32",
    float: "fp32",
}
OPTIONS = ("num_warps", "num_stages", "maxnreg", "enable_fp_fusion")
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class Launch:
    """A kernel and what it was called with."""

    def __init__(self, kernel: JITFunction, args: tuple, kwargs: dict) -> None:
        self.kernel = kernel
        self.options = {name: kwargs[name] for name in OPTIONS if name in kwargs}
        self.args = dict(zip(kernel.arg_names, args))
        self.args |= {k: v for k, v in kwargs.items() if k in kernel.arg_names}

    def specialization(self) -> tuple[dict, dict, dict]:
        """What is compiled in: types, constants, and what is known of arguments."""
        signature, constants, attributes = {}, {}, {}
        for i, parameter in enumerate(self.kernel.params):
            value = self.args[parameter.name]
            is_tensor = isinstance(value, torch.Tensor)
            if parameter.is_constexpr or value is None:
                signature[parameter.name] = "constexpr"
                constants[i,] = value
                continue
            if is_tensor or (
                isinstance(value, int)
                and value % 16 == 0
                and not parameter.do_not_specialize
            ):
                attributes[i,] = [["tt.divisibility", 16]]
            kind = value.dtype if is_tensor else type(value)
            signature[parameter.name] = TYPES[kind]
        return signature, constants, attributes

    def key(self) -> str:
        """The same for launches that one compiled kernel serves."""
        ones = [  # which Triton makes constants of
            parameter.name
            for parameter in self.kernel.params
            if not parameter.do_not_specialize
            and isinstance(value := self.args[parameter.name], int)
            and value == 1
        ]
        return repr((self.kernel.__name__, self.specialization(), ones, self.options))

    def compile(self, capability: int) -> CompiledKernel:
        """What a GPU of this compute capability, such as 90, would load."""
        signature, constants, attributes = self.specialization()
        source = ASTSource(
            fn=self.kernel, signature=signature, constexprs=constants, attrs=attributes
        )
        target = GPUTarget("cuda", capability, 32)
        return triton.compile(source, target=target, options=self.options)


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Launches within, in their order; nothing runs."""
    launches: list[Launch] = []

    def run(self: JITFunction, *args: object, grid: tuple, **kwargs: object) -> None:
        launches.append(Launch(self, args, kwargs))

    real_run, JITFunction.run = JITFunction.run, run
    try:
        yield launches
    finally:
        JITFunction.run = real_run


def inspect(kernel: CompiledKernel) -> tuple[int, int, str]:
    """Registers, spilled bytes and the listing of machine instructions."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        usage = _cuobjdump("-res-usage", file.name)
        listing = _cuobjdump("-sass", file.name)
    registers = int(re.search(r"REG:(\d+)", usage)[1])
    spilled = int(re.search(r"STACK:(\d+)", usage)[1])
    return registers, spilled, listing


def _cuobjdump(flag: str, path: str) -> str:
    command = [TOOLS / "cuobjdump", flag, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
