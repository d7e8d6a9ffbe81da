"""Compiles the attention kernels of one kind: ``compile_kind.py bfloat16 16 16 32``.

Type, height and width of the window, channels per head. Prints names and seconds of the
kernels as JSON, in its last line.
"""

import json
import sys

import torch
from attention import make_inputs, train
from compilations import watched


def main() -> None:
    """Forward and backward of a small map, padded and shifted."""
    dtype, *numbers = sys.argv[1:]
    h, w, channels = map(int, numbers)
    size, shift = (h + 1, w + 1), (h // 2, w // 2)
    kind = getattr(torch, dtype)
    heads = 3  # as in the section of correctness
    inputs = make_inputs(2, size, heads, (h, w), kind, "cuda", channels=channels)
    grad = torch.randn_like(inputs[0][..., : heads * channels])
    with watched() as found:
        train("triton", inputs, (h, w), shift, grad)
    torch.cuda.synchronize()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
