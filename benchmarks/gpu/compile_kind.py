"""Compiles the attention kernels of one kind: ``compile_kind.py bfloat16 16 16 32``.

Type, height and width of the window, channels per head. Prints names and seconds of the
kernels as JSON, in its last line.
"""

import json
import sys

import torch
from attention import make_inputs
from compilations import watched

from mmswinv2.ops.window_attention.operator import attend


def main() -> None:
    """Forward and backward of a small map, padded and shifted."""
    dtype, *numbers = sys.argv[1:]
    h, w, channels = map(int, numbers)
    size, shift = (h + 1, w + 1), (h // 2, w // 2)
    kind = getattr(torch, dtype)
    heads = 3  # as in the section of correctness
    inputs = make_inputs(2, size, heads, (h, w), kind, "cuda", channels=channels)
    grad = torch.randn_like(inputs[0][..., : heads * channels])
    with watched() as found:  # whether or not they prove themselves
        out = attend(*inputs, (h, w), shift, "triton")
        torch.autograd.grad(out, inputs, grad)
    torch.cuda.synchronize()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
