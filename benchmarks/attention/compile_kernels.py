"""Compile the Triton kernels for several GPUs without having one.

The operator runs as it would, on CPU tensors; launches are recorded in place of run, so
what is compiled is exactly what a GPU would get. Prints a Markdown table of registers,
spills and machine instructions per logit in the loops that exponentiate.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import triton
from compilation import Launch, inspect, recorded
from triton.compiler import CompiledKernel

from mmswinv2.ops.window_attention import triton_attention as attention

MANY = 192  # spilled bytes of a thread; a few are cheaper than fewer programs at once
WINDOWS = ["8", "12", "14", "16", "4x4x4", "8x7x7", "8x14x14", "8x16x16"]


def record(
    window: tuple[int, ...], dtype: torch.dtype, head_channels: int, capability: int
) -> list[Launch]:
    """Launches of one forward and backward pass, each kernel once."""
    attention.generation = lambda device: capability // 10
    attention._tile.cache_clear()
    size, shift, n = (2 * w for w in window), tuple(w // 2 for w in window), 4
    qkv = torch.zeros(1, *size, 3 * n * head_channels, dtype=dtype)
    table = torch.zeros(n, *(2 * w - 1 for w in window))
    with recorded() as launches:
        prepared = attention.prepare(table, torch.ones(n))
        inputs = qkv, prepared, window, shift
        out, lse = attention.triton_forward(*inputs)
        attention.triton_backward(out, *inputs, out, lse)
    first = {launch.kernel.__name__: launch for launch in reversed(launches)}
    return [*reversed(first.values())]


def parse_window(text: str) -> tuple[int, ...]:
    """Window of a side, as '16', or of all axes, as '8x7x7'."""
    axes = tuple(map(int, text.split("x")))
    return axes * 2 if len(axes) == 1 else axes


def measure(kernel: CompiledKernel) -> tuple[int, int, list[float]]:
    """Registers, spilled bytes, and instructions per logit of every loop."""
    registers, spilled, listing = inspect(kernel)
    return registers, spilled, sorted(_loops(listing))


def _loops(listing: str) -> Iterator[float]:
    """Instructions per exponential in innermost loops, or all code if none has one."""
    code = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", listing)
    place = {int(address, 16): i for i, (address, _) in enumerate(code)}
    exponential = ["MUFU.EX2" in text for _, text in code]
    loops = []
    for i, (_, text) in enumerate(code):
        jump = re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", text)
        start = place.get(int(jump[1], 16), i) if jump else i
        if start < i and any(exponential[start:i]):
            loops.append((start, i))
    inner = [a for a in loops if not any(a[0] <= b[0] and b[1] < a[1] for b in loops)]
    for start, stop in inner or [(0, len(code) - 1)]:
        yield (stop - start + 1) / sum(exponential[start : stop + 1])


def main() -> None:
    """Print the table of all kernels asked for; exit with an error if one is bad."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", nargs="+", default=WINDOWS, help="16 or 8x7x7")
    parser.add_argument("--head-channels", type=int, nargs="+", default=[32])
    parser.add_argument("--gpu", type=int, nargs="+", default=[80, 86, 90, 100, 120])
    parser.add_argument("--dtype", nargs="+", default=["bfloat16"])
    args = parser.parse_args()
    print(
        f"triton {triton.__version__}. A cell: tile of queries and keys: registers of"
    )
    print(
        "a thread / bytes spilled / instructions per logit, inner to border windows.\n"
    )
    header = ["kernel", "window", "type", "head", *(f"sm_{gpu}" for gpu in args.gpu)]
    print("|", " | ".join(header), "|")
    print("|", " | ".join(["---"] * len(header)), "|")
    bad = set()
    for dtype, d, window in product(args.dtype, args.head_channels, args.window):
        cells: dict[str, list[str]] = {}
        for gpu in args.gpu:
            axes = parse_window(window)
            for launch in record(axes, getattr(torch, dtype), d, gpu):
                row = cells.setdefault(launch.kernel.__name__, [])
                try:
                    kernel = launch.compile(gpu)
                except Exception as error:  # whatever the compiler's stages raise
                    row.append(type(error).__name__)
                    bad.add("do not compile")
                    continue
                if "M" not in launch.args:  # the table's: no logits
                    del cells[launch.kernel.__name__]
                    continue
                registers, spilled, counts = measure(kernel)
                row.append(
                    f"{launch.args['M']} x {launch.args['K']}: {registers} / {spilled}"
                    f" / {counts[0]:.1f} to {counts[-1]:.1f}"
                )
                if spilled > MANY:
                    bad.add("spill many registers")
        for name, row in cells.items():
            row = [name.removesuffix("_kernel"), window, dtype, str(d), *row]
            print("|", " | ".join(row), "|", flush=True)
    sys.exit(f"Some kernels {' and '.join(sorted(bad))}" if bad else 0)


if __name__ == "__main__":
    main()
