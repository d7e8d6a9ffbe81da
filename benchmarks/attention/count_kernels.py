"""Count the Triton kernels that training at many image sizes compiles, without a GPU.

Images have sizes as the multi-scale pipeline of configs/coco makes them (a side of 480
to 800 px, or a crop of 384 to 600 px of a larger one first), padded to 32 px. Launches
of all four stages, forward and backward, are recorded on tensors without data.
"""

import argparse
import random
import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from compilation import recorded

from mmswinv2.models.window_fit import WINDOW_FITS, fit_axis
from mmswinv2.ops.window_attention import triton_attention as attention

SCALES = range(480, 801, 32)  # px of the short side, at most 1333 of the long one
CROPPED_SCALES = 400, 500, 600
CROP = 384, 600
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def draw_size(rng: random.Random) -> tuple[int, int]:
    """Height and width in px of an image as the model gets it."""
    sides = 640, rng.randint(320, 640)
    height, width = sides if rng.random() < 0.3 else sides[::-1]
    if rng.random() < 0.5:
        factor = rng.choice(CROPPED_SCALES) / min(height, width)
        height = min(int(height * factor), rng.randint(*CROP))
        width = min(int(width * factor), rng.randint(*CROP))
    factor = min(rng.choice(SCALES) / min(height, width), 1333 / max(height, width))
    return tuple(-(-round(side * factor) // 32) * 32 for side in (height, width))


def count(
    window: int, fit: str, dtype: torch.dtype, sizes: list[tuple[int, int]]
) -> tuple[int, int]:
    """Windows that occur, and kernels that are compiled for them."""
    cases = set()
    for size, stage, shifted in product(sizes, range(4), (False, True)):
        tokens = [side // 4 // 2**stage for side in size]
        fits = (fit_axis(t, window, shifted=shifted, fit=fit) for t in tokens)
        cases.add((tuple(tokens), *zip(*fits), 3 * 2**stage))
    kernels = set()
    for (H, W), fitted, shift, heads in cases:
        table = torch.empty(heads, *(2 * w - 1 for w in fitted), device="meta")
        qkv = torch.empty(2, H, W, 3 * 32 * heads, dtype=dtype, device="meta")
        with recorded() as launches:
            prepared = attention.prepare(table, table[:, 0, 0])
            inputs = qkv, prepared, fitted, shift
            out, lse = attention.triton_forward(*inputs)
            attention.triton_backward(out, *inputs, out, lse)
        kernels |= {launch.key() for launch in launches}
    return len({fitted for _, fitted, *_ in cases}), len(kernels)


def main() -> None:
    """Print the table; exit with an error if more are compiled than allowed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--window", type=int, nargs="+", default=[8, 12, 16, 24, 32])
    parser.add_argument("--fit", nargs="+", default=WINDOW_FITS)
    parser.add_argument("--dtype", nargs="+", default=["bf16"], choices=TYPES)
    parser.add_argument("--most", type=int, default=16, help="allowed per type")
    args = parser.parse_args()
    rng = random.Random(0)
    sizes = [draw_size(rng) for _ in range(args.images)]
    print(f"{args.images} images of {len(set(sizes))} sizes\n")
    print("| type | window | fit | windows that occur | kernels |")
    print("| --- | --- | --- | --- | --- |")
    most = 0
    for dtype, window, fit in product(args.dtype, args.window, args.fit):
        windows, kernels = count(window, fit, TYPES[dtype], sizes)
        print(f"| {dtype} | {window} | {fit} | {windows} | {kernels} |", flush=True)
        most = max(most, kernels)
    sys.exit(f"{most} kernels, allowed are {args.most}" if most > args.most else 0)


if __name__ == "__main__":
    main()
