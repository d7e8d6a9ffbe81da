"""Compile the kernels of the fused residual norm for GPUs without having one.

Prints a Markdown table of registers and spills.

Examples:
    >>> python benchmarks/residual_norm/compile_kernels.py --channels 128 --gpu 90
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]  # works uninstalled

import torch  # noqa: E402
import triton  # noqa: E402
from compilation import Launch, inspect, recorded  # noqa: E402

from mmswinv2.ops.residual_norm import residual_norm  # noqa: E402

PRECISIONS = {  # of the branch and of the copy
    "bf16 autocast": (torch.bfloat16, torch.bfloat16),
    "fp16 autocast": (torch.float16, torch.float16),
    "fp32": (torch.float32, None),
}


def record(channels: int, precision: str) -> list[Launch]:
    """Launches of inference, and of training's forward and backward pass."""
    branch_dtype, low_dtype = PRECISIONS[precision]
    shapes = 2 * [(2, 8, 8, channels)] + 2 * [(channels,)]
    inputs = [torch.zeros(shape) for shape in shapes]
    inputs[1] = inputs[1].to(branch_dtype)
    keep = torch.ones(2)
    with recorded() as launches:
        residual_norm(*inputs, 1e-5, None, low_dtype)
        inputs = [x.requires_grad_() for x in inputs]
        outs = residual_norm(*inputs, 1e-5, keep, low_dtype)[: 1 + bool(low_dtype)]
        torch.autograd.grad(outs, inputs, [torch.ones_like(out) for out in outs])
    return launches


def main() -> None:
    """Print the table of all kernels asked for; exit with an error if one spills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    widths = [96, 128, 192, 256, 512, 1024, 2048, 4096, 8192]
    parser.add_argument("--channels", type=int, nargs="+", default=widths)
    parser.add_argument("--gpu", type=int, nargs="+", default=[80, 86, 90, 100, 120])
    parser.add_argument("--precision", nargs="+", default=[*PRECISIONS])
    args = parser.parse_args()
    print(
        f"triton {triton.__version__}. A cell: registers of a thread / bytes spilled\n"
    )
    header = ["kernel", "channels", "precision", "tile", "warps"]
    header += [f"sm_{gpu}" for gpu in args.gpu]
    print("|", " | ".join(header), "|")
    print("|", " | ".join(["---"] * len(header)), "|")
    spills = False
    for channels, precision in product(args.channels, args.precision):
        for launch in record(channels, precision):
            row = [launch.kernel.__name__.removesuffix("_kernel"), str(channels)]
            row += [precision, f"{launch.args['R']} x {launch.args['BLOCK']}"]
            row.append(str(launch.options["num_warps"]))
            for gpu in args.gpu:
                registers, spilled, _ = inspect(launch.compile(gpu))
                spills |= spilled > 0
                row.append(f"{registers} / {spilled}")
            print("|", " | ".join(row), "|", flush=True)
    sys.exit("Some kernels spill registers" if spills else 0)


if __name__ == "__main__":
    main()
